//! A worker: takes roll-up jobs from the queue, so many at a time, and does them.
//!
//! A job is acknowledged when it is done. A worker that dies, or loses the broker, leaves the
//! job to another; that it may have been done already is no harm.

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
use super::queue::{Broker, Queue, TRIES, deliveries};
use crate::store::Store;

/// The first pause after something failed; it doubles each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
/// A connection that was good for so long begins with the first pause again.
const GOOD: Duration = Duration::from_secs(60);
/// How long a stop waits for the broker to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// Does jobs until `stop` becomes true, and then those that it has begun. Connects again
/// whenever the broker is lost.
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
                if began.elapsed() > GOOD {
                    failures = 0;
                }
                let pause = pause(failures);
                failures += 1;
                warn!("{error:#}: trying again in {} ms", pause.as_millis());
                rest(pause, stop.clone()).await;
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
    let mut consumer = consumer.await.context("cannot listen")?;
    info!(%broker, parallel, "waiting for jobs");
    let mut work = FuturesUnordered::new();
    let stopping = stop.clone();
    loop {
        let room = work.len() < usize::from(parallel);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(done) = work.next() => done?,
            delivery = consumer.next(), if room => {
                let delivery = delivery.context("RabbitMQ ended the delivery of jobs")?;
                let delivery = delivery.context("RabbitMQ is lost")?;
                work.push(handle(store, &queue, delivery, stopping.clone()));
            }
        }
    }
    info!(jobs = work.len(), "stopping when what was begun is done");
    while let Some(done) = work.next().await {
        done?;
    }
    drop(work);
    // What was delivered and not begun goes to another worker.
    let goodbye = queue.channel.close(200, "stopping".into());
    if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
        debug!("RabbitMQ did not say goodbye");
    }
    Ok(())
}

/// Does one job. An error is one of the connection.
async fn handle(
    store: &Arc<dyn Store>,
    queue: &Queue,
    delivery: Delivery,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let job = Job::decode(&delivery.data);
    let done = match &job {
        Ok(job) => job.carry_out(&**store).await,
        Err(error) => Err(JobError::Malformed(error.to_string())),
    };
    let error = match done {
        Ok(done) => {
            debug!(?job, ?done, "a job is done");
            delivery.ack(BasicAckOptions::default()).await?;
            return Ok(());
        }
        Err(error) => error,
    };
    let tries = deliveries(&delivery.properties);
    if tries + 1 >= TRIES || matches!(error, JobError::Malformed(_)) {
        warn!(?job, %error, "a job is put aside");
        queue.bury(&delivery.data, &error.to_string()).await?;
        delivery.ack(BasicAckOptions::default()).await?;
        return Ok(());
    }
    warn!(?job, %error, tries = tries + 1, "a job failed and will be tried again");
    rest(pause(tries), stop).await;
    let again = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    delivery.nack(again).await?;
    Ok(())
}

fn pause(failures: u64) -> Duration {
    let factor = 1_u32 << failures.min(10);
    (PAUSE * factor).min(LONGEST)
}

/// Waits, but no longer than until `stop` becomes true.
async fn rest(pause: Duration, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
