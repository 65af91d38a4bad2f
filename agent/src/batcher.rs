//! From closed seconds to the spool: makes batches, spools them, and wakes the sender.
//!
//! It runs in a thread of its own, as a disk may take long to sync.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::event::EventKind;
use bubble_common::segment::{Segment, SourceId, facts};

use crate::attention::{Attention, Names, name_of};
use crate::journal::Receipt;
use crate::metrics::Metrics;
use crate::report;
use crate::spool::Stored;
use crate::spool::queue::Queue;

/// Maximum number of segments in a batch. Servers accept at least as many at once.
pub const MAX_BATCH_SEGMENTS: usize = 512;
/// Time that a delivery may take before what it has counts as waiting.
const DELIVERY_TIME: Duration = Duration::from_secs(3);
/// Seconds for which a container is delivered at once after its start: until its name is known.
const START_SECONDS: u64 = 3;
/// The same after its end: as long as sums of its life may follow.
const END_SECONDS: u64 = 30;

/// The segments of closed seconds, with the state of the agent.
#[derive(Debug)]
pub struct Closed {
    /// Source of the agent now. Segments may be of the one before.
    pub source: SourceId,
    /// Now: ns since the Unix epoch.
    pub at: u64,
    /// The segments.
    pub segments: Vec<Segment>,
    /// Number of running containers.
    pub containers: usize,
    /// Time that the programs in the kernel ran, ns.
    pub kernel_ns: u64,
    /// Is given when the segments are in the spool.
    pub receipt: Receipt,
}

/// Spools closed seconds as batches.
#[derive(Debug)]
pub struct Batcher {
    /// The spool.
    pub queue: Arc<Queue>,
    /// What is delivered at once.
    pub attention: Attention,
    /// Report of the agent. Figures that change are updated for each batch.
    pub report: AgentReport,
    /// Publishes the newest report.
    pub metrics: Metrics,
    /// Whether the last batch could not be written to the disk.
    pub disk_failed: bool,
    /// Containers that have just started or ended, and until when they are delivered at once: seconds
    /// since the Unix epoch.
    pub news: BTreeMap<String, u64>,
}

impl Batcher {
    /// Spools what it receives until the other end is dropped.
    pub fn run(mut self, closed: &Receiver<Closed>) {
        while let Ok(closed) = closed.recv() {
            self.spool(closed);
        }
    }

    /// Spools closed seconds.
    pub fn spool(&mut self, closed: Closed) {
        let due = self.attention.interval() + DELIVERY_TIME;
        let (waits, overdue, dropped) = self.queue.with(|spool| {
            let waits = spool.batches() > 0;
            (waits, spool.overdue(due), spool.dropped())
        });
        self.report.sent_at = closed.at;
        self.report.cpu_ns = report::cpu_ns();
        self.report.rss = report::rss();
        self.report.kernel_ns = closed.kernel_ns;
        self.report.spooled = overdue;
        self.report.dropped = dropped;
        self.metrics.set(&self.report, closed.containers);
        // An empty batch shows that the agent is alive. So do waiting batches.
        if closed.segments.is_empty() && waits {
            closed.receipt.give();
            return;
        }
        let urgent = self.urgent(&closed.segments);
        let mut segments = closed.segments.into_iter().peekable();
        loop {
            // After the clock was set back, the first ones are of the former source.
            let first = segments.peek();
            let source = first.map_or(closed.source, |segment| segment.key.source);
            let same = || segments.next_if(|segment| segment.key.source == source);
            let chunk: Vec<_> = iter::from_fn(same).take(MAX_BATCH_SEGMENTS).collect();
            let count = chunk.len() as u32;
            let batch = Batch {
                source,
                agent: self.report.clone(),
                segments: chunk,
            };
            let bytes = batch.encode();
            let stored = self.queue.with(|spool| spool.append(bytes, count));
            self.log_disk_state(stored);
            self.queue.notify();
            if segments.peek().is_none() {
                break;
            }
        }
        // In memory only, if the disk has failed: then a kill loses it, which was logged.
        closed.receipt.give();
        self.attention.urge(urgent);
    }

    /// The containers whose news do not wait: they have just started, have ended, or their limit of
    /// memory killed a process.
    fn urgent(&mut self, segments: &[Segment]) -> Names {
        let mut urgent = Names::new();
        for segment in segments {
            let name = name_of(&segment.key.container);
            let has = |kind| segment.events.iter().any(|event| event.kind == kind);
            let has_ended =
                has(EventKind::CONTAINER_END) || segment.facts.contains_key(facts::ENDED);
            let news = match has_ended {
                true => Some(END_SECONDS),
                false => has(EventKind::CONTAINER_START).then_some(START_SECONDS),
            };
            if let Some(seconds) = news {
                let until = self.news.entry(name.to_owned()).or_default();
                *until = segment.end().saturating_add(seconds).max(*until);
            }
            let until = self.news.get(name).copied().unwrap_or(0);
            if has(EventKind::OOM_KILL) || segment.end() <= until {
                urgent.insert(name.to_owned());
            }
        }
        let now = segments.iter().map(Segment::end).max().unwrap_or(0);
        self.news.retain(|_, until| *until > now);
        urgent
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
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use bubble_common::batch::Batch;
    use bubble_common::segment::event::{Event, EventKind};
    use bubble_common::segment::{ContainerId, Key, Resolution, Segment, SourceId};

    use super::{Batcher, Closed, MAX_BATCH_SEGMENTS};
    use crate::attention::Attention;
    use crate::journal::Receipt;
    use crate::metrics::Metrics;
    use crate::report::host;
    use crate::spool::Spool;
    use crate::spool::queue::Queue;

    /// A second of a container with events and facts.
    fn second(name: &str, start: u64, events: &[EventKind], facts: &[&str]) -> Segment {
        let key = Key {
            container: ContainerId::new(name).unwrap(),
            resolution: Resolution::Second,
            start,
            source: SourceId([1; 16]),
        };
        let mut segment = Segment::empty(key, 1);
        segment.events.extend(events.iter().map(|kind| Event {
            at: start * 1_000_000_000,
            kind: *kind,
            process: None,
            detail: String::new(),
        }));
        let facts = facts
            .iter()
            .map(|name| ((*name).to_owned(), "7".to_owned()));
        segment.facts.extend(facts);
        segment
    }

    fn batcher(queue: &Arc<Queue>) -> Batcher {
        Batcher {
            queue: Arc::clone(queue),
            attention: Attention::new(Duration::from_secs(10)),
            report: host("h", "vfs", &[]),
            metrics: Metrics::default(),
            disk_failed: false,
            news: BTreeMap::new(),
        }
    }

    #[test]
    fn starts_ends_and_kills_by_memory_do_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let mut batcher = batcher(&Queue::new(Spool::open(folder.path(), 1 << 30).unwrap()));
        let mut urgent = |start, of: &[(&str, &[EventKind], &[&str])]| {
            let segments = of.iter();
            let segments: Vec<Segment> = segments
                .map(|(name, events, facts)| second(name, start, events, facts))
                .collect();
            batcher.urgent(&segments).into_iter().collect::<Vec<_>>()
        };
        let quiet: (&str, &[EventKind], &[&str]) = ("quiet", &[], &["name"]);
        let refused = ("refused", &[EventKind::CONNECTION_FAILED][..], &[][..]);
        assert!(urgent(100, &[quiet, refused]).is_empty());
        let oom = ("oom", &[EventKind::OOM_KILL][..], &[][..]);
        let new = ("new", &[EventKind::CONTAINER_START][..], &[][..]);
        let old = ("old", &[EventKind::CONTAINER_END][..], &[][..]);
        // Docker says later that it has ended.
        let told = ("told", &[][..], &["ended"][..]);
        assert_eq!(
            urgent(101, &[quiet, oom, new, old, told]),
            ["new", "old", "oom", "told"]
        );
        // Its name is known a moment after the start; sums follow the end.
        let plain = |name| (name, &[][..], &[][..]);
        let all = ["new", "old", "oom", "told"].map(plain);
        assert_eq!(urgent(102, &all), ["new", "old", "told"]);
        assert_eq!(urgent(120, &all[1..]), ["old", "told"]);
        assert!(urgent(140, &all).is_empty(), "it is over");
    }

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
            receipt: Receipt::default(),
        };
        let empty = Closed {
            source,
            at: 8,
            segments: Vec::new(),
            containers: 0,
            kernel_ns: 0,
            receipt: Receipt::default(),
        };
        let mut batcher = batcher(&queue);
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

    #[test]
    fn a_batch_has_segments_of_its_source_only() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::new(Spool::open(folder.path(), 1 << 30).unwrap());
        let (before, now) = (SourceId([1; 16]), SourceId([2; 16]));
        let mut segments = Vec::from(["a", "b"].map(|name| second(name, 105, &[], &[])));
        let mut after = second("a", 101, &[], &[]);
        after.key.source = now;
        segments.push(after);
        batcher(&queue).spool(Closed {
            source: now,
            at: 7,
            segments,
            containers: 2,
            kernel_ns: 0,
            receipt: Receipt::default(),
        });
        let mut batches = Vec::new();
        while let Some(batch) = queue.with(|spool| spool.peek(false)).unwrap() {
            queue.with(|spool| spool.complete(batch.id));
            let batch = Batch::decode(&batch.payload).unwrap();
            batches.push((batch.source, batch.segments.len()));
        }
        assert_eq!(batches, [(before, 2), (now, 1)]);
    }
}
