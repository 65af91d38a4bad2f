//! The agent: the real spool and delivery. Instead of a kernel, it counts seconds of known size.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bubble_agent::attention::{Attention, Names};
use bubble_agent::metrics::Metrics;
use bubble_agent::send::Sender;
use bubble_agent::send::delivery::Delivery;
use bubble_agent::spool::queue::Queue;
use bubble_agent::spool::{Spool, Stored};
use bubble_agent::undelivered::Undelivered;
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::loss::Loss;
use bubble_common::segment::process::{Cpu, Process as CountedProcess, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};
use turmoil::fs::shim::std::fs;

use crate::disk::{Process, SimulatedDisk};
use crate::faults::Faults;
use crate::network::SimulatedNetwork;
use crate::server::START;
use crate::truth::{Second, Truth};

/// Containers at most.
pub(crate) const MAX_CONTAINERS: u64 = 3;
/// Folder of the spool.
const SPOOL: &str = "/spool";

/// The id of a container.
pub(crate) fn container(n: u64) -> Result<ContainerId> {
    ContainerId::new(&format!("container{n:03}")).context("not an id")
}

/// An agent, from one run to the next.
#[derive(Debug)]
pub(crate) struct Agent {
    faults: Arc<Faults>,
    /// Containers that it counts.
    containers: u64,
    /// Maximum size of its spool in bytes.
    max_spool: u64,
    /// Interval of delivery.
    interval: Duration,
    /// By how many seconds its clock is ahead.
    pub(crate) skew: Cell<i64>,
    /// Whether it counts no more, and only delivers.
    pub(crate) is_over: Cell<bool>,
    /// Whether everything is delivered.
    pub(crate) is_done: Cell<bool>,
    pub(crate) truth: RefCell<Truth>,
    /// What a kill at this moment loses.
    unspooled: RefCell<BTreeSet<Second>>,
    undelivered: RefCell<Undelivered>,
}

impl Agent {
    pub(crate) fn new(faults: Arc<Faults>) -> Self {
        Self {
            containers: 1 + faults.below(MAX_CONTAINERS),
            max_spool: faults.one_of(&[6_000, 30_000, 1 << 20]),
            interval: Duration::from_secs(faults.one_of(&[1, 10, 10])),
            faults,
            skew: Cell::new(0),
            is_over: Cell::new(false),
            is_done: Cell::new(false),
            truth: RefCell::default(),
            unspooled: RefCell::default(),
            undelivered: RefCell::default(),
        }
    }

    /// Runs it, and again after each kill, as systemd does.
    pub(crate) async fn supervise(self: Rc<Self>) -> turmoil::Result {
        loop {
            // What the power failure of its host or a kill has lost.
            self.bury();
            let process = Process::new(Arc::clone(&self.faults));
            let ended = tokio::select! {
                biased;
                ended = self.run(&process) => ended,
                () = process.death() => Err(anyhow::anyhow!("killed")),
            };
            if let Err(error) = &ended {
                self.faults.say(|| format!("the agent ends: {error:#}"));
                process.kill();
                tokio::time::sleep(Duration::from_millis(self.faults.below(5_000))).await;
                continue;
            }
            self.is_done.set(true);
            return Ok(());
        }
    }

    /// Notes what the end of a run has lost.
    fn bury(&self) {
        let mut truth = self.truth.borrow_mut();
        truth.unspooled.append(&mut self.unspooled.borrow_mut());
        let undelivered = self.undelivered.take();
        if undelivered.is_changed() {
            truth.unnoted += undelivered.all().values().sum::<u64>();
        }
    }

    async fn run(&self, process: &Arc<Process>) -> Result<()> {
        // Its installation has made it, long before.
        fs::create_dir_all(SPOOL)?;
        fs::sync_dir("/")?;
        let disk = Arc::new(SimulatedDisk::new(process));
        let spool = Spool::open_on(disk, Path::new(SPOOL), self.max_spool)?;
        self.undelivered.replace(spool.undelivered());
        let queue = Queue::new(spool);
        let attention = Attention::new(self.interval);
        let network = Arc::new(SimulatedNetwork(Arc::clone(process)));
        let sender = Sender::over(network, "http://server", "key");
        let delivery = Delivery::new(
            sender,
            Arc::clone(&queue),
            Metrics::default(),
            attention.clone(),
        );
        let delivery = delivery.seeded(self.faults.below(u64::MAX));
        tokio::select! {
            biased;
            () = delivery.run() => anyhow::bail!("the delivery has ended"),
            ended = self.count(process, &queue, &attention) => ended,
        }
    }

    /// Counts a second after the other. Ends when all are delivered.
    async fn count(&self, process: &Process, queue: &Queue, attention: &Attention) -> Result<()> {
        let mut source = self.new_source();
        let mut last = 0;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let second = self.now();
            if second <= last {
                // As the real one, when its clock was set back.
                source = self.new_source();
            }
            last = second;
            self.look_elsewhere(attention);
            let is_over = self.is_over.get();
            // The first container reports those of all.
            let losses = self.undelivered.borrow().take(source, second, |_| false);
            let lost: u64 = losses.iter().map(|(_, seconds)| seconds).sum();
            if is_over && lost == 0 {
                attention.flush();
                if queue.with(|spool| spool.batches()) == 0 {
                    return Ok(());
                }
                continue;
            }
            let containers = if is_over { 1 } else { self.containers };
            let segments = (0..containers).map(|n| {
                let mut builder = self.second(n, source, second)?;
                for ((_, reason), count) in losses.iter().filter(|_| n == 0) {
                    let (count, bytes) = (*count, 0);
                    builder.loss(*reason, 0, Loss { count, bytes });
                }
                Ok(builder.build())
            });
            let segments = segments.collect::<Result<Vec<Segment>>>()?;
            self.spool(process, queue, source, second, segments, lost);
            queue.notify();
        }
    }

    /// Spools a second of all containers.
    fn spool(
        &self,
        process: &Process,
        queue: &Queue,
        source: SourceId,
        second: u64,
        segments: Vec<Segment>,
        lost: u64,
    ) {
        let count = segments.len() as u32;
        let keys = segments.iter().map(|segment| {
            let name = segment.key.container.as_str().to_owned();
            (name, source, second)
        });
        let keys: Vec<Second> = keys.collect();
        self.unspooled.borrow_mut().extend(keys.iter().cloned());
        let agent = AgentReport {
            host: "node".to_owned(),
            sent_at: second * 1_000_000_000,
            ..AgentReport::default()
        };
        let batch = Batch {
            source,
            agent,
            segments,
        };
        let stored = queue.with(|spool| spool.append(batch.encode(), count));
        self.faults.say(|| match lost {
            0 => format!("second {second}: {stored:?}"),
            _ => format!("second {second}, which tells that {lost} are lost: {stored:?}"),
        });
        if matches!(stored, Stored::Disk) && !process.is_dead() {
            let mut unspooled = self.unspooled.borrow_mut();
            for key in &keys {
                unspooled.remove(key);
            }
        }
    }

    /// A second in which one process uses CPU time, which is noted as the truth.
    fn second(&self, n: u64, source: SourceId, second: u64) -> Result<Builder> {
        let container = container(n)?;
        let ns = 1 + self.faults.below(1_000_000);
        let name = container.as_str().to_owned();
        self.truth
            .borrow_mut()
            .seconds
            .insert((name, source, second), ns);
        let key = Key {
            container,
            resolution: Resolution::Second,
            start: second,
            source,
        };
        let mut builder = Builder::new(key, 1);
        builder.cover(0, Coverage::SECOND);
        let id = ProcessId {
            pid: 7,
            start: 1,
            exec: 1,
        };
        let process = builder.process(CountedProcess::new(id, "worker"));
        builder.cpu(process, 0, 0, Cpu { ns });
        builder.total(Metric::CPU_USER, 0, ns);
        Ok(builder)
    }

    /// Somebody begins or ends to look at a container, something happens in one, or the server is an
    /// older one for a while.
    fn look_elsewhere(&self, attention: &Attention) {
        let name = |n| Names::from([format!("container{n:03}")]);
        match self.faults.below(30) {
            0 => attention.set_watched(None),
            1..=3 => attention.set_watched(Some(Names::new())),
            4 => attention.set_watched(Some(name(self.faults.below(self.containers)))),
            5 => attention.urge(name(self.faults.below(self.containers))),
            _ => {}
        }
    }

    fn new_source(&self) -> SourceId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(1 + self.faults.below(u64::MAX - 1)).to_le_bytes());
        SourceId(id)
    }

    /// The time of day of its host: seconds since the Unix epoch.
    fn now(&self) -> u64 {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default().as_secs();
        (START + elapsed).saturating_add_signed(self.skew.get())
    }
}
