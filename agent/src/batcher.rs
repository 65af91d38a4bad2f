//! From closed seconds to the spool: makes batches, spools them, and wakes the sender.
//!
//! It runs in a thread of its own, as a disk may take long to sync.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::{Segment, SourceId};

use crate::metrics::Metrics;
use crate::report;
use crate::spool::Stored;
use crate::spool::queue::Queue;

/// Maximum number of segments in a batch. Servers accept at least as many at once.
pub const MAX_BATCH_SEGMENTS: usize = 512;

/// The segments of closed seconds, with the state of the agent.
#[derive(Debug)]
pub struct Closed {
    /// Source of the segments.
    pub source: SourceId,
    /// Now: ns since the Unix epoch.
    pub at: u64,
    /// The segments.
    pub segments: Vec<Segment>,
    /// Number of running containers.
    pub containers: usize,
    /// Time that the programs in the kernel ran, ns.
    pub kernel_ns: u64,
}

/// Spools closed seconds as batches.
#[derive(Debug)]
pub struct Batcher {
    /// The spool.
    pub queue: Arc<Queue>,
    /// Report of the agent. Figures that change are updated for each batch.
    pub report: AgentReport,
    /// Publishes the newest report.
    pub metrics: Metrics,
    /// Whether the last batch could not be written to the disk.
    pub disk_failed: bool,
}

impl Batcher {
    /// Spools what it receives until the other end is dropped.
    pub fn run(mut self, closed: &Receiver<Closed>) {
        while let Ok(closed) = closed.recv() {
            self.spool(closed);
        }
    }

    fn spool(&mut self, closed: Closed) {
        let (spooled, dropped) = self.queue.with(|spool| (spool.segments(), spool.dropped()));
        self.report.sent_at = closed.at;
        self.report.cpu_ns = report::cpu_ns();
        self.report.rss = report::rss();
        self.report.kernel_ns = closed.kernel_ns;
        self.report.spooled = spooled;
        self.report.dropped = dropped;
        self.metrics.set(&self.report, closed.containers);
        // An empty batch shows that the agent is alive. So do waiting batches.
        if closed.segments.is_empty() && spooled > 0 {
            return;
        }
        let mut segments = closed.segments.into_iter().peekable();
        loop {
            let chunk: Vec<_> = segments.by_ref().take(MAX_BATCH_SEGMENTS).collect();
            let count = chunk.len() as u32;
            let batch = Batch {
                source: closed.source,
                agent: self.report.clone(),
                segments: chunk,
            };
            let bytes = batch.encode();
            let stored = self.queue.with(|spool| spool.append(bytes, count));
            self.log_disk_state(stored);
            self.queue.notify();
            if segments.peek().is_none() {
                return;
            }
        }
    }

    /// Logs when the disk fails or works again, but not at each batch.
    fn log_disk_state(&mut self, stored: Stored) {
        match stored {
            Stored::Disk if self.disk_failed => {
                tracing::info!("the spool can be written again");
                self.disk_failed = false;
            }
            Stored::Memory(error) if !self.disk_failed => {
                tracing::error!(
                    "the spool cannot be written: batches wait in memory and are lost if the agent ends: {error}"
                );
                self.disk_failed = true;
            }
            Stored::Disk | Stored::Memory(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bubble_common::batch::Batch;
    use bubble_common::segment::{ContainerId, Key, Resolution, Segment, SourceId};

    use super::{Batcher, Closed, MAX_BATCH_SEGMENTS};
    use crate::metrics::Metrics;
    use crate::report::host;
    use crate::spool::Spool;
    use crate::spool::queue::Queue;

    #[test]
    fn a_host_of_many_containers_posts_more_than_one_batch() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::new(Spool::open(folder.path(), 1 << 30).unwrap());
        let source = SourceId([1; 16]);
        let segment = |n: usize| {
            let key = Key {
                container: ContainerId::new(&format!("c{n}")).unwrap(),
                resolution: Resolution::Second,
                start: 5,
                source,
            };
            Segment::empty(key, 1)
        };
        let closed = Closed {
            source,
            at: 7,
            segments: (0..MAX_BATCH_SEGMENTS + 1).map(segment).collect(),
            containers: MAX_BATCH_SEGMENTS + 1,
            kernel_ns: 0,
        };
        let empty = Closed {
            source,
            at: 8,
            segments: Vec::new(),
            containers: 0,
            kernel_ns: 0,
        };
        let mut batcher = Batcher {
            queue: queue.clone(),
            report: host("h", "vfs", &[]),
            metrics: Metrics::default(),
            disk_failed: false,
        };
        batcher.spool(closed);
        // With a backlog an empty batch is left out.
        batcher.spool(empty);
        let mut sizes = Vec::new();
        while let Some(batch) = queue.with(|spool| spool.peek(false)).unwrap() {
            queue.with(|spool| spool.complete(batch.id));
            sizes.push(Batch::decode(&batch.payload).unwrap().segments.len());
        }
        assert_eq!(sizes, [MAX_BATCH_SEGMENTS, 1]);
    }
}
