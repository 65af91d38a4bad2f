//! Posts the segments of a recording while it is read.
//!
//! Without the spool of the live agent: a file can be read again, and a recording whose source is
//! made from the file counts once however often it is posted. So what waits is kept in memory,
//! and when the server is away or slow, reading waits.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::{Segment, SourceId};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender as Queue, channel};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::send::Sender;
use crate::store::SEGMENTS;

/// Most segments that wait for the server.
const WAITING: usize = 2_048;

/// Posts the segments of one recording.
#[derive(Debug)]
pub(super) struct Post {
    queue: Queue<Segment>,
    task: JoinHandle<Result<u64>>,
    runtime: Handle,
}

impl Post {
    /// Begins to post a recording of the source `source`.
    pub(super) fn start(
        runtime: &Handle,
        sender: Arc<Sender>,
        report: AgentReport,
        source: SourceId,
    ) -> Self {
        let (queue, segments) = channel(WAITING);
        Self {
            queue,
            task: runtime.spawn(post(sender, report, source, segments)),
            runtime: runtime.clone(),
        }
    }

    /// Hands a segment over; waits while too many wait. `false` when the server does not take
    /// them: [`Self::finish`] says why.
    pub(super) fn put(&self, segment: Segment) -> bool {
        self.queue.blocking_send(segment).is_ok()
    }

    /// Waits until the server has all, and says how many segments that were.
    ///
    /// # Errors
    /// When the server did not take them.
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
    source: SourceId,
    mut segments: Receiver<Segment>,
) -> Result<u64> {
    let clock = Clock::new();
    let mut posted = 0;
    loop {
        // All that is there: a live stream is posted at once, a backlog in large batches.
        let mut some = Vec::new();
        let count = segments.recv_many(&mut some, SEGMENTS).await;
        if count == 0 {
            return Ok(posted);
        }
        report.sent_at = clock.now();
        let batch = Batch {
            source,
            agent: report.clone(),
            segments: some,
        };
        if let Err(why) = sender.deliver(&batch.encode()).await {
            bail!("the server does not take the recording: {why}");
        }
        posted += count as u64;
    }
}
