//! Counts a run in a thread beside it, and adds up what it did.

use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};
use bubble_common::report::asked::Asked;
use bubble_common::report::tally::{self, Tally};
use bubble_common::report::{Context, Report};
use bubble_common::segment::fold::Caps;
use bubble_common::segment::{ContainerId, Facts};

use super::flags::Flags;
use super::posting::Posting;
use super::scope::RunScope;
use crate::batcher::Closed;
use crate::collect::{Collect, Extent, raise_priority};
use crate::config::Config;
use crate::config::settings::SourceKind;
use crate::container::hierarchy::Hierarchies;
use crate::container::totals::Surroundings;
use crate::container::{Containers, HostFacts};
use crate::live::{Live, is_root};
use crate::source::Source as _;
use crate::source::procfs::Procfs;
use crate::source::procfs::tree::{Tree, Waited};
use crate::undelivered::Undelivered;
use crate::{live, report};

/// Maximum number of seconds that wait to be added up.
const MAX_WAITING_SECONDS: usize = 64;
/// Time in which the last switch of a process that has ended follows: its parent learns of its end
/// before it leaves its core.
const SETTLE_DELAY: Duration = Duration::from_millis(30);
/// Rows of a second. They are in memory only; what is posted has the usual ones.
const CAPS: Caps = Caps {
    processes: 100_000,
    files: 100_000,
    connections: 100_000,
    file_rows: 400_000,
    network_rows: 400_000,
    events: 10_000,
};

/// The sums so far, and facts that the segments do not have yet.
#[derive(Debug, Default)]
struct Sums {
    tally: Tally,
    noted: Facts,
    fresh: Facts,
}

/// A run that is counted.
#[derive(Debug)]
pub(super) struct Counting {
    id: ContainerId,
    stop: Arc<AtomicBool>,
    sums: Arc<Mutex<Sums>>,
    collecting: JoinHandle<Result<()>>,
    adding: JoinHandle<Option<Posting>>,
    missing: Vec<String>,
}

/// A run that was counted.
#[derive(Debug)]
pub(super) struct Counted {
    id: ContainerId,
    sums: tally::Container,
    missing: Vec<String>,
    /// Posts what is left. The report does not wait for it.
    pub(super) posting: Option<Posting>,
}

impl Counting {
    /// Begins to count the run in `scope`, which has not begun. Without a cgroup `waited` has the CPU
    /// time of processes that ended.
    ///
    /// # Errors
    /// When nothing can be counted.
    pub(super) fn start(
        config: &Config,
        scope: &mut RunScope,
        waited: &Arc<Waited>,
        posting: Option<Posting>,
    ) -> Result<Self> {
        let hierarchies = mem::replace(&mut scope.hierarchies, Hierarchies::none());
        let mut config = config.clone();
        config.rules.only = Some(scope.found.clone());
        // The pinned programs are those of the host's agent.
        config.ebpf.pins = None;
        let mut source = source(&mut config, scope, &hierarchies)?;
        let host = report::host(&config.host, source.hooks(), source.missing());
        let facts = HostFacts {
            host: config.host.clone(),
            cores: host.cores,
            memory: host.memory,
            hooks: host.hooks.clone(),
        };
        if let (None, Live::Procfs(source)) = (&scope.cgroup, &mut source) {
            let found = scope.found.clone();
            let root = std::process::id();
            let tree = Tree::new(root, found, facts.clone(), Arc::clone(waited));
            let surroundings = Surroundings::find(Path::new("/proc")).unwrap_or_else(|error| {
                let why = format!("limits of the cgroups that the run is in: {error}");
                scope.missing.push(why);
                Surroundings::default()
            });
            source.set_tree(tree.within(surroundings));
        }
        let mut containers = Containers::new(hierarchies, config.rules, false);
        containers.set_facts(facts);
        let sums: Arc<Mutex<Sums>> = Arc::default();
        let (out, closed) = sync_channel(MAX_WAITING_SECONDS);
        let adding = {
            let sums = Arc::clone(&sums);
            let posting = posting.map(|posting| posting.with_report(&host));
            let adding = thread::Builder::new().name("tally".to_owned());
            adding.spawn(move || add(&closed, &sums, posting))?
        };
        let (begin, begun) = sync_channel(1);
        let collect = Collect {
            containers,
            source,
            out,
            late: Vec::new(),
            undelivered: Undelivered::default(),
            extent: Extent {
                is_whole: true,
                begun: Some(begin),
                caps: Some(CAPS),
            },
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let collecting = thread::Builder::new().name("collect".to_owned());
        let collecting = collecting.spawn(move || {
            raise_priority();
            collect.run(&stopped).map(drop)
        })?;
        let counting = Self {
            id: scope.found.id.clone(),
            stop,
            sums,
            collecting,
            adding,
            missing: host.missing,
        };
        if begun.recv().is_err() {
            // The loop ended before it began: it says why.
            counting.finish()?;
            return Err(anyhow!("counting did not begin"));
        }
        Ok(counting)
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a fact about the run.
    pub(super) fn note(&self, name: &str, value: impl ToString) {
        let mut sums = self.sums();
        let value = value.to_string();
        sums.noted.insert(name.to_owned(), value.clone());
        sums.fresh.insert(name.to_owned(), value);
    }

    /// Looks at the sums so far, once there are any.
    pub(super) fn look<T>(&self, look: impl FnOnce(&tally::Container) -> T) -> Option<T> {
        self.sums().tally.containers.get(&self.id).map(look)
    }

    /// Counts to the end, after the last process has ended.
    ///
    /// # Errors
    /// When counting failed.
    pub(super) fn finish(self) -> Result<Counted> {
        thread::sleep(SETTLE_DELAY);
        self.stop.store(true, Ordering::Relaxed);
        let failed = |_| anyhow!("a thread that counts has failed");
        let collected = self.collecting.join().map_err(failed)?;
        let posting = self.adding.join().map_err(failed)?;
        collected?;
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = mem::take(&mut sums.noted);
        let known = sums.tally.containers.remove(&self.id);
        let mut known = known.unwrap_or_default();
        known.facts.extend(noted);
        Ok(Counted {
            id: self.id,
            sums: known,
            missing: self.missing,
            posting,
        })
    }
}

impl Counted {
    /// The report. `missing` is what is not counted because of the scope.
    pub(super) fn report(&self, flags: &Flags, missing: Vec<String>) -> Report {
        let context = Context {
            asked: flags.asked.clone().unwrap_or_default(),
            slurm: Asked::of_slurm(|name| std::env::var(name).ok()),
            missing: missing.into_iter().chain(self.missing.clone()).collect(),
            rows: flags.top.into(),
            ..Context::default()
        };
        Report::new(&self.id, &self.sums, &context)
    }
}

/// The source: eBPF where it is allowed, and procfs elsewhere.
fn source(config: &mut Config, scope: &mut RunScope, hierarchies: &Hierarchies) -> Result<Live> {
    let is_auto = config.source == SourceKind::Auto;
    if scope.cgroup.is_some() {
        let mut source = Live::start(config, hierarchies.primary())?;
        if let Live::Procfs(source) = &mut source {
            source.expect_new();
        }
        return Ok(source);
    }
    if !is_auto && config.source != SourceKind::Procfs {
        live::require_root()?;
    }
    let mut source = Procfs::new();
    source.expect_new();
    if !is_root() {
        source.add_missing(
            "what eBPF counts (files, peers, cores, exits): the agent does not run as root; use sudo",
        );
    }
    Ok(Live::Procfs(source))
}

/// Adds closed seconds to the sums, and passes them on to be posted, until the other end is dropped.
fn add(
    closed: &Receiver<Closed>,
    sums: &Mutex<Sums>,
    mut posting: Option<Posting>,
) -> Option<Posting> {
    while let Ok(mut closed) = closed.recv() {
        {
            let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = closed.segments.last_mut() {
                last.facts.extend(mem::take(&mut sums.fresh));
            }
            for segment in &closed.segments {
                sums.tally.add(segment);
            }
        }
        if let Some(posting) = &mut posting {
            let segments = mem::take(&mut closed.segments).into_iter();
            closed.segments = segments.map(|it| it.fold(&Caps::SECOND)).collect();
            posting.put(closed);
        }
    }
    posting
}
