//! From closed seconds to the spool: encoded, written, synced, and announced to the
//! sender. In a thread of its own, as a disk may take its time to sync.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bubble_common::batch::{AgentReport, Batch};

use crate::collect::Closed;
use crate::report::{self, Shared};
use crate::send::Queue;
use crate::spool::Stored;

/// Most segments of one batch: a server has a bound for what it takes at once.
pub const SEGMENTS: usize = 512;

/// Puts what is closed into the spool.
#[derive(Debug)]
pub struct Store {
    /// Where it goes.
    pub queue: Arc<Queue>,
    /// What is said of the agent itself: what does not change.
    pub report: AgentReport,
    /// The newest report, for the agent's own metrics.
    pub shared: Shared,
    /// Whether the disk refused the last one.
    pub refused: bool,
}

impl Store {
    /// Stores what comes until nobody sends any more.
    pub fn run(mut self, closed: &Receiver<Closed>) {
        while let Ok(second) = closed.recv() {
            self.put(second);
        }
    }

    fn put(&mut self, closed: Closed) {
        let (spooled, dropped) = self.queue.with(|spool| (spool.segments(), spool.dropped()));
        self.report.sent_at = closed.at;
        self.report.cpu_ns = report::cpu_ns();
        self.report.rss = report::rss();
        self.report.kernel_ns = closed.kernel_ns;
        self.report.spooled = spooled;
        self.report.dropped = dropped;
        self.shared.set(&self.report, closed.containers);
        // A backlog says that the agent is alive by itself.
        if closed.segments.is_empty() && spooled > 0 {
            return;
        }
        let mut segments = closed.segments.into_iter().peekable();
        loop {
            let some: Vec<_> = segments.by_ref().take(SEGMENTS).collect();
            let count = some.len() as u32;
            let batch = Batch {
                source: closed.source,
                agent: self.report.clone(),
                segments: some,
            };
            let bytes = batch.encode();
            let stored = self.queue.with(|spool| spool.append(bytes, count));
            self.tell(stored);
            self.queue.announce();
            if segments.peek().is_none() {
                return;
            }
        }
    }

    fn tell(&mut self, stored: Stored) {
        match stored {
            Stored::Disk if self.refused => {
                tracing::info!("the spool can be written again");
                self.refused = false;
            }
            Stored::Disk => {}
            Stored::Memory(error) if !self.refused => {
                tracing::error!(
                    "the spool cannot be written, so what waits is kept in memory and lost if the agent ends: {error}"
                );
                self.refused = true;
            }
            Stored::Memory(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bubble_common::batch::Batch;
    use bubble_common::segment::{ContainerId, Key, Resolution, Segment, SourceId};

    use super::{SEGMENTS, Store};
    use crate::collect::Closed;
    use crate::report::{Shared, host};
    use crate::send::Queue;
    use crate::spool::Spool;

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
            segments: (0..SEGMENTS + 1).map(segment).collect(),
            containers: SEGMENTS + 1,
            kernel_ns: 0,
        };
        let empty = Closed {
            source,
            at: 8,
            segments: Vec::new(),
            containers: 0,
            kernel_ns: 0,
        };
        let mut store = Store {
            queue: queue.clone(),
            report: host("h", "vfs", &[]),
            shared: Shared::default(),
            refused: false,
        };
        store.put(closed);
        // With a backlog an empty one has nothing to say.
        store.put(empty);
        let mut sizes = Vec::new();
        while let Some((id, bytes)) = queue.with(|spool| spool.peek(false)).unwrap() {
            queue.with(|spool| spool.done(id));
            sizes.push(Batch::decode(&bytes).unwrap().segments.len());
        }
        assert_eq!(sizes, [SEGMENTS, 1]);
    }
}
