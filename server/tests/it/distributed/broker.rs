//! RabbitMQ in tests: each test has its own queues, and inspects them itself.

use std::process::Command;
use std::time::Duration;

use bubble_server::rollup::queue::{Broker, REASON};
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::{AMQPAuthority, AMQPUri, AMQPUserInfo};
use lapin::{BasicProperties, Connection, ConnectionProperties};

/// A variable that `cargo xtask test --only distributed` sets.
pub(super) fn given(name: &str) -> String {
    let value = std::env::var(name);
    value.unwrap_or_else(|_| panic!("{name} is set by `cargo xtask test --only distributed`"))
}

/// Variables with the address of the broker.
const BROKER: [&str; 4] = [
    "RABBITMQ_HOST",
    "RABBITMQ_PORT",
    "RABBITMQ_USER",
    "RABBITMQ_PASSWORD",
];

/// The queues of one test.
pub(super) struct Queues {
    name: String,
    pub(super) password: String,
    connection: Connection,
}

impl Queues {
    /// Deletes what an earlier run left.
    pub(super) async fn new(test: &str) -> Self {
        let name = format!("test-{test}");
        let queues = Self {
            connection: connect().await,
            password: given("RABBITMQ_PASSWORD"),
            name,
        };
        queues.delete().await;
        queues
    }

    /// Deletes the queues.
    pub(super) async fn delete(&self) {
        let channel = self.connection.create_channel().await.expect("a channel");
        for queue in [self.name.clone(), format!("{}.dead", self.name)] {
            let options = QueueDeleteOptions::default();
            let gone = channel.queue_delete(queue.into(), options).await;
            gone.expect("gone");
        }
    }

    /// Their address, for this process.
    pub(super) fn broker(&self) -> Broker {
        Broker {
            host: given("RABBITMQ_HOST"),
            port: given("RABBITMQ_PORT").parse().expect("a port"),
            vhost: "/".to_owned(),
            user: given("RABBITMQ_USER"),
            password: self.password.as_str().into(),
            queue: self.name.clone(),
        }
    }

    /// Their address, as the environment of a process.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("RABBITMQ_QUEUE", self.name.clone())];
        variables.extend(BROKER.map(|name| (name, given(name))));
        variables
    }

    /// Jobs that are not delivered yet.
    pub(super) async fn waiting(&self) -> u64 {
        let connection = connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let name = self.name.as_str().into();
        let queue = channel.queue_declare(name, passive, FieldTable::default());
        queue
            .await
            .expect("the queue is there")
            .message_count()
            .into()
    }

    /// [`Self::waiting`], polled until it is as expected or a timeout: a queue updates its count late.
    pub(super) async fn waiting_until(&self, expected: u64) -> u64 {
        for _ in 0..50 {
            if self.waiting().await == expected {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.waiting().await
    }

    /// Publishes any message.
    pub(super) async fn put(&self, body: &[u8]) {
        let channel = self.connection.create_channel().await.expect("a channel");
        let published = channel.basic_publish(
            "".into(),
            self.name.as_str().into(),
            BasicPublishOptions::default(),
            body,
            BasicProperties::default(),
        );
        published.await.expect("sent").await.expect("taken");
    }

    /// Waits for `count` dead messages. Returns them with their reasons.
    pub(super) async fn dead(&self, count: usize) -> Vec<(String, String)> {
        let channel = self.connection.create_channel().await.expect("a channel");
        let queue = format!("{}.dead", self.name);
        let mut found = Vec::new();
        for _ in 0..1_800 {
            let got = channel.basic_get(queue.as_str().into(), BasicGetOptions::default());
            if let Some(message) = got.await.expect("the queue is there") {
                message.ack(BasicAckOptions::default()).await.expect("gone");
                let headers = message.properties.headers().clone().unwrap_or_default();
                let reason = match headers.inner().get(REASON) {
                    Some(AMQPValue::LongString(text)) => text.to_string(),
                    other => panic!("no reason: {other:?}"),
                };
                found.push((String::from_utf8_lossy(&message.data).into_owned(), reason));
            }
            if found.len() == count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("only these are in the dead queue: {found:?}");
    }
}

/// Kills or starts a service.
pub(super) async fn services(command: &'static str, which: &'static str) {
    let done = tokio::task::spawn_blocking(move || {
        Command::new(given("BUBBLE_XTASK"))
            .args(["services", command, "--only", which])
            .status()
    });
    let status = done.await.expect("it ran").expect("it runs");
    assert!(status.success(), "{command} {which}: {status}");
}

async fn connect() -> Connection {
    let uri = AMQPUri {
        scheme: Default::default(),
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: given("RABBITMQ_USER"),
                password: given("RABBITMQ_PASSWORD"),
            },
            host: given("RABBITMQ_HOST"),
            port: given("RABBITMQ_PORT").parse().expect("a port"),
        },
        vhost: "/".to_owned(),
        query: Default::default(),
    };
    let connected = Connection::connect_uri(uri, ConnectionProperties::default());
    connected.await.expect("RabbitMQ answers")
}
