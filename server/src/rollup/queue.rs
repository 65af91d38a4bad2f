//! The queue of roll-up jobs, in RabbitMQ.
//!
//! A quorum queue, as it counts how often a message was delivered. What could not be done is
//! put into a second one, `NAME.dead`, with the reason in a header: by the worker after its last
//! try, or by the broker when workers die of it again and again. Nothing is lost with it: the span stays
//! dirty, and is put again. Both are bounded.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lapin::options::{
    BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::{AMQPAuthority, AMQPUri, AMQPUserInfo};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};

use crate::auth::password::Password;

/// How often a job is tried by workers that can say why it failed.
pub const TRIES: u64 = 5;
/// How often it is delivered at all: a worker that dies, or a connection that breaks, counts, too.
const DELIVERIES: i64 = 20;
/// Messages that wait at most; then no more are taken.
const WAITING: i64 = 500_000;
/// Dead messages that are kept: the latest.
const DEAD: i64 = 10_000;
/// After so long a connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a reason at most: headers have to fit into one frame.
const REASONED: usize = 1_000;
/// In a dead message: why it was not done.
pub const REASON: &str = "x-reason";
/// How often a message was given back, in its headers; absent the first time.
const DELIVERED: &str = "x-delivery-count";
/// Persistent, in AMQP's numbers.
const PERSISTENT: u8 = 2;

/// Where the queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its virtual host.
    pub vhost: String,
    /// As whom.
    pub user: String,
    /// By which password.
    pub password: Password,
    /// The name of the queue.
    pub queue: String,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}, queue {}", self.host, self.port, self.queue)
    }
}

/// The queue, as one process has it open.
pub struct Queue {
    name: String,
    /// Ends with the last channel.
    _connection: Connection,
    /// For what is confirmed.
    pub(super) channel: Channel,
}

impl Queue {
    /// Opens it, and makes it if it is not there; a worker is given `ahead` messages at a time.
    ///
    /// # Errors
    /// When the broker does not answer, or has a queue of this name with other properties.
    pub async fn open(broker: &Broker, ahead: u16) -> Result<Self> {
        let opened = tokio::time::timeout(PATIENCE, Self::open_now(broker, ahead)).await;
        opened
            .context("it does not answer")
            .flatten()
            .with_context(|| format!("cannot use RabbitMQ at {broker}"))
    }

    async fn open_now(broker: &Broker, ahead: u16) -> Result<Self> {
        let uri = AMQPUri {
            scheme: Default::default(),
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: broker.user.clone(),
                    password: broker.password.shown().to_owned(),
                },
                host: broker.host.clone(),
                port: broker.port,
            },
            vhost: broker.vhost.clone(),
            query: Default::default(),
        };
        let properties =
            ConnectionProperties::default().with_connection_name("bubble-server".into());
        let connection = Connection::connect_uri(uri, properties).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        channel.basic_qos(ahead, BasicQosOptions::default()).await?;
        let dead = dead(&broker.queue);
        declare(&channel, &dead, &[("x-max-length", long(DEAD))]).await?;
        let properties = [
            ("x-max-length", long(WAITING)),
            ("x-overflow", text("reject-publish")),
            ("x-delivery-limit", long(DELIVERIES)),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(&dead)),
        ];
        declare(&channel, &broker.queue, &properties).await?;
        Ok(Self {
            name: broker.queue.clone(),
            _connection: connection,
            channel,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts messages into it, and returns when the broker has them for good.
    ///
    /// # Errors
    /// When it does not take one of them.
    pub async fn put(&self, bodies: Vec<Vec<u8>>) -> Result<()> {
        let mut confirmations = Vec::with_capacity(bodies.len());
        for body in bodies {
            confirmations.push(publish(&self.channel, &self.name, &body, None).await?);
        }
        for confirmation in confirmations {
            confirmed(confirmation.await?)?;
        }
        Ok(())
    }

    /// Puts a message that could not be done aside, with the reason.
    pub(super) async fn bury(&self, body: &[u8], reason: &str) -> Result<()> {
        let reason = &reason[..reason.floor_char_boundary(REASONED)];
        let confirmation = publish(&self.channel, &dead(&self.name), body, Some(reason)).await?;
        confirmed(confirmation.await?)
    }
}

/// How often a message was delivered before.
pub(super) fn deliveries(properties: &BasicProperties) -> u64 {
    let count = properties.headers().as_ref();
    let count = count.and_then(|headers| headers.inner().get(DELIVERED));
    let count = count.and_then(|count| match count {
        AMQPValue::LongLongInt(n) => Some(*n),
        AMQPValue::LongInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortShortInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortInt(n) => Some(i64::from(*n)),
        AMQPValue::LongUInt(n) => Some(i64::from(*n)),
        _ => None,
    });
    count.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

fn dead(queue: &str) -> String {
    format!("{queue}.dead")
}

async fn declare(channel: &Channel, name: &str, properties: &[(&str, AMQPValue)]) -> Result<()> {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    for (name, value) in properties {
        table.insert((*name).into(), value.clone());
    }
    let declared = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), table);
    declared.await.map(drop).with_context(|| {
        format!("cannot make the queue {name}: if it is of another program, choose another name with --rabbitmq-queue")
    })
}

async fn publish(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    reason: Option<&str>,
) -> Result<lapin::PublisherConfirm> {
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into());
    if let Some(reason) = reason {
        let mut headers = FieldTable::default();
        headers.insert(REASON.into(), text(reason));
        properties = properties.with_headers(headers);
    }
    // Given back if there is no such queue any more.
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    Ok(channel
        .basic_publish("".into(), queue.into(), options, body, properties)
        .await?)
}

fn confirmed(confirmation: Confirmation) -> Result<()> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => bail!("the queue is gone: RabbitMQ gave a message back"),
        Confirmation::Nack(_) => {
            bail!("RabbitMQ takes no more: {WAITING} jobs wait; do workers run?")
        }
        Confirmation::NotRequested => bail!("RabbitMQ does not confirm what it takes"),
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

const fn long(value: i64) -> AMQPValue {
    AMQPValue::LongLongInt(value)
}
