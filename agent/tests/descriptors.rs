//! An agent with few descriptors on a host of many containers: what it cannot read for a moment is a loss,
//! ends no container, and counts once when it can be read again.
//!
//! One test, as the limit is that of the process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use bubble_agent::clock::SECOND;
use bubble_agent::container::Containers;
use bubble_agent::container::hierarchy::Hierarchies;
use bubble_agent::container::rule::Rules;
use bubble_agent::fd_budget;
use bubble_agent::sink::Sink as _;
use bubble_agent::window::Window;
use bubble_common::segment::event::EventKind;
use bubble_common::segment::loss::Reason;
use bubble_common::segment::total::Metric;
use bubble_common::segment::{Segment, SourceId};
use rustix::process::{Resource, Rlimit, setrlimit};

const T: u64 = 1_000_000;
const CONTAINERS: usize = 2_000;
const MAX_FILES: u64 = 256;

/// Sets the CPU time of all containers.
fn used(docker: &Path, us: u64) {
    for n in 0..CONTAINERS {
        let folder = docker.join(format!("{n:064x}"));
        fs::create_dir_all(&folder).expect("a folder");
        let text = format!("usage_usec {us}\nuser_usec {us}\nsystem_usec 0\n");
        fs::write(folder.join("cpu.stat"), text).expect("a file");
    }
}

struct Bench {
    containers: Containers,
    window: Window,
    second: u64,
}

impl Bench {
    /// Counts a second with only so many descriptors.
    fn count(&mut self, free: usize) -> Vec<Segment> {
        let mut held: Vec<File> = Vec::new();
        if free < MAX_FILES as usize {
            while let Ok(file) = File::open("/dev/null") {
                held.push(file);
            }
            held.truncate(held.len() - free);
        }
        let at = self.second * SECOND + 1;
        self.containers.scan(at, &mut self.window);
        self.containers.read_totals(at, &mut self.window);
        self.containers.poll(at, &mut self.window);
        self.second += 1;
        self.window.advance(self.second * SECOND);
        self.window.take_closed()
    }
}

fn losses(segments: &[Segment]) -> BTreeMap<u32, u64> {
    let mut losses = BTreeMap::new();
    for cell in segments.iter().flat_map(|segment| &segment.losses) {
        *losses.entry(cell.row.0).or_default() += cell.value.count;
    }
    losses
}

fn cpu_us(segments: &[Segment]) -> u64 {
    let totals = segments.iter().flat_map(|segment| &segment.totals);
    let cpu = totals.filter(|cell| cell.row.0 == Metric::CPU_USER.0);
    cpu.map(|cell| cell.value.value / 1_000).sum()
}

fn ends(segments: &[Segment]) -> usize {
    let events = segments.iter().flat_map(|segment| &segment.events);
    let ends = events.filter(|event| event.kind == EventKind::CONTAINER_END);
    ends.count()
}

#[test]
fn few_descriptors_lose_nothing_silently() {
    let limit = Rlimit {
        current: Some(MAX_FILES),
        maximum: Some(MAX_FILES),
    };
    setrlimit(Resource::Nofile, limit).expect("a lower limit");
    fd_budget::raise_limit();
    let root = tempfile::tempdir().expect("a folder");
    fs::write(root.path().join("cgroup.controllers"), "cpu").expect("a file");
    let docker = root.path().join("docker");
    used(&docker, 1_000);
    let hierarchies = Hierarchies::under(root.path()).expect("a hierarchy");
    let mut bench = Bench {
        containers: Containers::new(hierarchies, Rules::default(), false),
        window: Window::new(SourceId([1; 16]), T),
        second: T,
    };
    let all = MAX_FILES as usize;
    assert_eq!(losses(&bench.count(all)), BTreeMap::new());
    assert_eq!(bench.containers.count(), CONTAINERS);

    let (mut counted, mut us) = (0, 1_000);
    // Enough for no folder, for the root, for the folder of containers, and for those of each.
    for free in [0, 1, 2, 3] {
        us += 7;
        used(&docker, us);
        let segments = bench.count(free);
        counted += cpu_us(&segments);
        let lost = losses(&segments);
        if free < 3 {
            assert!(lost.contains_key(&Reason::CGROUP_UNKNOWN.0), "{free}");
        }
        let unread = lost.get(&Reason::UNREADABLE.0);
        assert_eq!(unread.is_some(), free == 0, "{free}: {lost:?}");
        assert_eq!(ends(&segments), 0, "{free}");
        assert_eq!(bench.containers.count(), CONTAINERS, "{free}");
        let segments = bench.count(all);
        counted += cpu_us(&segments);
        assert_eq!(losses(&segments), BTreeMap::new());
    }
    assert_eq!(counted, (us - 1_000) * CONTAINERS as u64);

    // What is read and not there has ended.
    fs::remove_dir_all(docker.join(format!("{:064x}", 7))).expect("a removed cgroup");
    bench.count(all);
    assert_eq!(bench.containers.count(), CONTAINERS - 1);

    chooses_no_hierarchy_unseen();
}

/// With another hierarchy cgroups have other ids.
fn chooses_no_hierarchy_unseen() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = |path: String| fs::create_dir_all(root.path().join(path)).expect("a folder");
    folder(format!("unified/docker/{:064x}", 7));
    folder(format!("pids/docker/{:064x}", 7));
    fs::write(root.path().join("unified/cgroup.controllers"), "").expect("a file");
    fs::write(root.path().join("pids/cgroup.procs"), "").expect("a file");
    let hierarchies = Hierarchies::under(root.path()).expect("hierarchies");
    let mut containers = Containers::new(hierarchies, Rules::default(), false);
    let mut held: Vec<File> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    containers.choose_primary().expect_err("no descriptor");
    drop(held);
    containers.choose_primary().expect("a hierarchy");
    let unified = root.path().join("unified");
    assert_eq!(containers.hierarchies().primary().root, unified);
}
