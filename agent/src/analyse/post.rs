//! Posts the segments of a recording while it is read.
//!
//! The spool of the live agent is not needed: a file can be read again, and its source is made
//! from its content, so it counts once however often it is posted. Segments wait in memory; while
//! the server is away or slow, reading waits.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::Segment;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender as Queue, channel};
use tokio::task::JoinHandle;

use crate::batcher::MAX_BATCH_SEGMENTS;
use crate::clock::Clock;
use crate::send::Sender;

/// Most segments that wait for the server.
const MAX_WAITING: usize = 2_048;

/// Posts the segments of one recording.
#[derive(Debug)]
pub(super) struct Post {
    queue: Queue<Segment>,
    task: JoinHandle<Result<u64>>,
    runtime: Handle,
}

impl Post {
    /// Begins to post a recording.
    pub(super) fn start(runtime: &Handle, sender: Arc<Sender>, report: AgentReport) -> Self {
        let (queue, segments) = channel(MAX_WAITING);
        Self {
            queue,
            task: runtime.spawn(post(sender, report, segments)),
            runtime: runtime.clone(),
        }
    }

    /// Hands a segment over; blocks while too many wait. Returns false if the server refuses
    /// them: [`Self::finish`] has the reason.
    pub(super) fn put(&self, segment: Segment) -> bool {
        self.queue.blocking_send(segment).is_ok()
    }

    /// Waits until the server has all segments; returns their number.
    ///
    /// # Errors
    /// When the server refused them.
    pub(super) fn finish(self) -> Result<u64> {
        drop(self.queue);
        self.runtime
            .block_on(self.task)
            .map_err(|error| anyhow!("posting failed: {error}"))?
    }
}

async fn post(
    sender: Arc<Sender>,
    mut report: AgentReport,
    mut segments: Receiver<Segment>,
) -> Result<u64> {
    let clock = Clock::new();
    let mut posted = 0;
    loop {
        // All that wait: a live stream is posted at once, a backlog in large batches.
        let mut some = Vec::new();
        let count = segments.recv_many(&mut some, MAX_BATCH_SEGMENTS).await;
        if count == 0 {
            return Ok(posted);
        }
        report.sent_at = clock.now();
        // A section that goes back in time is a source of its own.
        for of_one in some.chunk_by(|a, b| a.key.source == b.key.source) {
            let Some(first) = of_one.first() else {
                continue;
            };
            let batch = Batch {
                source: first.key.source,
                agent: report.clone(),
                segments: of_one.to_vec(),
            };
            if let Err(why) = sender.deliver(&batch).await {
                bail!("the server refused the recording: {why}");
            }
        }
        posted += count as u64;
    }
}
