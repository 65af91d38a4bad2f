//! A worker: takes roll-up jobs from the queue, and runs several at a time.
//!
//! A job is acknowledged after it ran. If a worker dies or loses the broker, another worker gets
//! its job. Running it twice is harmless.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions};
use lapin::types::FieldTable;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::job::{Job, JobError};
use super::queue::{Broker, MAX_ATTEMPTS, Queue, deliveries};
use crate::store::Store;

/// Delay after the first failure. It doubles each time, up to [`MAX_RETRY_DELAY`].
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Longest delay after a failure.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(15);
/// Lifetime of a connection after which the delay starts at the shortest again.
const STABLE_TIME: Duration = Duration::from_secs(60);
/// Longest wait for the broker to close the channel at shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs jobs until `stop` becomes true, and then finishes those that it has started. Reconnects
/// when the broker is lost.
pub async fn listen(
    store: Arc<dyn Store>,
    broker: &Broker,
    parallel: u16,
    stop: watch::Receiver<bool>,
) {
    let mut failures = 0;
    while !*stop.borrow() {
        let began = Instant::now();
        match session(&store, broker, parallel, stop.clone()).await {
            Ok(()) => return,
            Err(error) => {
                if began.elapsed() > STABLE_TIME {
                    failures = 0;
                }
                let delay = retry_delay(failures);
                failures += 1;
                warn!("{error:#}: trying again in {} ms", delay.as_millis());
                wait(delay, stop.clone()).await;
            }
        }
    }
}

/// Works as long as the connection lasts, or until `stop`.
async fn session(
    store: &Arc<dyn Store>,
    broker: &Broker,
    parallel: u16,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let queue = Queue::open(broker, parallel).await?;
    let options = BasicConsumeOptions::default();
    let consumer = queue.channel.basic_consume(
        queue.name().into(),
        "".into(),
        options,
        FieldTable::default(),
    );
    let mut consumer = consumer.await.context("cannot consume jobs")?;
    info!(%broker, parallel, "waiting for jobs");
    let mut work = FuturesUnordered::new();
    let stopping = stop.clone();
    loop {
        let has_room = work.len() < usize::from(parallel);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(result) = work.next() => result?,
            delivery = consumer.next(), if has_room => {
                let delivery = delivery.context("RabbitMQ ended the delivery of jobs")?;
                let delivery = delivery.context("lost the connection to RabbitMQ")?;
                work.push(handle(store, &queue, delivery, stopping.clone()));
            }
        }
    }
    info!(
        jobs = work.len(),
        "stopping after the jobs that have started"
    );
    while let Some(result) = work.next().await {
        result?;
    }
    drop(work);
    // Jobs that were delivered but not started go to another worker.
    let close = queue.channel.close(200, "stopping".into());
    if tokio::time::timeout(CLOSE_TIMEOUT, close).await.is_err() {
        debug!("RabbitMQ did not close the channel in time");
    }
    Ok(())
}

/// Runs one job. Returns only errors of the connection.
async fn handle(
    store: &Arc<dyn Store>,
    queue: &Queue,
    delivery: Delivery,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let job = Job::decode(&delivery.data);
    let outcome = match &job {
        Ok(job) => job.run(&**store).await,
        Err(error) => Err(JobError::Malformed(error.to_string())),
    };
    let error = match outcome {
        Ok(outcome) => {
            debug!(?job, ?outcome, "a job is done");
            delivery.ack(BasicAckOptions::default()).await?;
            return Ok(());
        }
        Err(error) => error,
    };
    let attempts = deliveries(&delivery.properties);
    if attempts + 1 >= MAX_ATTEMPTS || matches!(error, JobError::Malformed(_)) {
        warn!(?job, %error, "a job is moved to the dead queue");
        queue.put_dead(&delivery.data, &error.to_string()).await?;
        delivery.ack(BasicAckOptions::default()).await?;
        return Ok(());
    }
    warn!(?job, %error, attempts = attempts + 1, "a job failed and will be tried again");
    wait(retry_delay(attempts), stop).await;
    let requeue = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    delivery.nack(requeue).await?;
    Ok(())
}

fn retry_delay(failures: u64) -> Duration {
    let factor = 1_u32 << failures.min(10);
    (RETRY_DELAY * factor).min(MAX_RETRY_DELAY)
}

/// Waits until the delay is over or `stop` becomes true.
async fn wait(delay: Duration, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
