//! The queue of roll-up jobs, in RabbitMQ.
//!
//! A quorum queue, because it counts the deliveries of a message. A job that failed goes to a
//! second queue, `NAME.dead`, with the reason in a header. The worker puts it there after its last
//! attempt; the broker does after workers died of it repeatedly. Nothing is lost: the span stays
//! dirty, and is enqueued again. Both queues are bounded.

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

/// Attempts of workers that report why a job failed.
pub const MAX_ATTEMPTS: u64 = 5;
/// Deliveries at most, including those to workers that died or lost their connection.
const MAX_DELIVERIES: i64 = 20;
/// Waiting messages at most; the queue refuses further ones.
const MAX_WAITING: i64 = 500_000;
/// Dead messages at most; the oldest are dropped.
const MAX_DEAD: i64 = 10_000;
/// Timeout of opening the queue.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a reason at most: headers must fit into one frame.
const MAX_REASON_LEN: usize = 1_000;
/// Header of a dead message: why the job failed.
pub const REASON: &str = "x-reason";
/// Header with the number of earlier deliveries; absent the first time.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// AMQP's delivery mode of a persistent message.
const PERSISTENT: u8 = 2;

/// Address of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Virtual host.
    pub vhost: String,
    /// User name.
    pub user: String,
    /// Password.
    pub password: Password,
    /// Name of the queue.
    pub queue: String,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}, queue {}", self.host, self.port, self.queue)
    }
}

/// An open queue.
pub struct Queue {
    name: String,
    /// Closed with the last channel.
    _connection: Connection,
    /// A channel with publisher confirms.
    pub(super) channel: Channel,
}

impl Queue {
    /// Opens the queue, and creates it if necessary. The broker delivers `prefetch` messages ahead.
    ///
    /// # Errors
    /// When the broker does not answer, or its queue of this name has other properties.
    pub async fn open(broker: &Broker, prefetch: u16) -> Result<Self> {
        let opened = tokio::time::timeout(OPEN_TIMEOUT, Self::open_now(broker, prefetch)).await;
        opened
            .context("it does not answer")
            .flatten()
            .with_context(|| format!("cannot use RabbitMQ at {broker}"))
    }

    async fn open_now(broker: &Broker, prefetch: u16) -> Result<Self> {
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
        channel
            .basic_qos(prefetch, BasicQosOptions::default())
            .await?;
        let dead = dead_queue(&broker.queue);
        declare(&channel, &dead, &[("x-max-length", long(MAX_DEAD))]).await?;
        let properties = [
            ("x-max-length", long(MAX_WAITING)),
            ("x-overflow", text("reject-publish")),
            ("x-delivery-limit", long(MAX_DELIVERIES)),
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

    /// Publishes messages, and returns after the broker has confirmed all.
    ///
    /// # Errors
    /// When the broker refuses one of them.
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

    /// Publishes a message to the dead queue, with the reason.
    pub(super) async fn put_dead(&self, body: &[u8], reason: &str) -> Result<()> {
        let reason = &reason[..reason.floor_char_boundary(MAX_REASON_LEN)];
        let confirmation =
            publish(&self.channel, &dead_queue(&self.name), body, Some(reason)).await?;
        confirmed(confirmation.await?)
    }
}

/// Number of earlier deliveries of a message.
pub(super) fn deliveries(properties: &BasicProperties) -> u64 {
    let count = properties.headers().as_ref();
    let count = count.and_then(|headers| headers.inner().get(DELIVERY_COUNT));
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

fn dead_queue(queue: &str) -> String {
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
        format!("cannot create the queue {name}: if another program uses it, choose another name with --rabbitmq-queue")
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
    // The broker returns the message if the queue is gone.
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
        Confirmation::Ack(Some(_)) => bail!("the queue is gone: RabbitMQ returned a message"),
        Confirmation::Nack(_) => {
            bail!("RabbitMQ refuses more jobs: {MAX_WAITING} are waiting; are workers running?")
        }
        Confirmation::NotRequested => bail!("RabbitMQ does not confirm messages"),
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

const fn long(value: i64) -> AMQPValue {
    AMQPValue::LongLongInt(value)
}
