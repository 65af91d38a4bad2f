//! Lives of containers: cgroups that are created again, and Docker's news about each.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::Reason;
use bubble_common::segment::process::{Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{Segment, SourceId, facts};
use tempfile::TempDir;

use super::Containers;
use super::docker::{News, Update};
use super::hierarchy::Hierarchies;
use super::rule::Rules;
use crate::clock::SECOND;
use crate::sink::{ContainerHandle, Sink};
use crate::window::Window;

const T: u64 = 1_000_000;
const MS: u64 = 1_000_000;
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const PATH: &str = "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Bench {
    containers: Containers,
    window: Window,
    segments: Vec<Segment>,
    docker: SyncSender<Update>,
    folder: TempDir,
    /// The second that is open.
    second: u64,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cgroup.controllers"), "").unwrap();
    let hierarchies = Hierarchies::under(folder.path()).unwrap();
    let mut containers = Containers::new(hierarchies, Rules::default(), false);
    let (docker, updates) = sync_channel(16);
    containers.set_updates(updates);
    let mut window = Window::new(SourceId([1; 16]), T);
    containers.scan(T * SECOND, &mut window);
    Bench {
        containers,
        window,
        segments: Vec::new(),
        docker,
        folder,
        second: T,
    }
}

/// A time, in milliseconds since the beginning.
fn at(ms: u64) -> u64 {
    T * SECOND + ms * MS
}

fn died(ms: u64, code: &str) -> Update {
    Update {
        id: ID.to_owned(),
        user: None,
        facts: Vec::new(),
        news: News::Died {
            at: at(ms),
            code: Some(code.to_owned()),
        },
    }
}

impl Bench {
    fn created(&mut self, ms: u64, id: u64) {
        self.containers
            .created(at(ms), id, Some(PATH), &mut self.window);
    }

    fn removed(&mut self, ms: u64, id: u64) {
        self.containers
            .removed(at(ms), id, Some(PATH), &mut self.window);
    }

    /// Polls at a time, and closes the seconds before.
    fn poll(&mut self, ms: u64) {
        let second = at(ms) / SECOND;
        while self.second < second {
            self.second += 1;
            self.containers
                .poll(self.second * SECOND - 1, &mut self.window);
            self.window.advance(self.second * SECOND);
        }
        self.containers.poll(at(ms), &mut self.window);
        self.segments.extend(self.window.take_closed());
    }

    /// A write by a process of a container.
    fn write(&mut self, ms: u64, container: ContainerHandle, bytes: u64) {
        let id = ProcessId {
            pid: 7,
            start: 5,
            exec: 0,
        };
        let process = self.window.process(container, &Process::new(id, "p"));
        let file = File {
            path: "/f".to_owned(),
            kind: FileKind::Regular,
        };
        let file = self.window.file(container, &file);
        let io = FileIo {
            bytes_out: bytes,
            ..FileIo::default()
        };
        self.window.file_io(at(ms), process, file, io);
    }

    fn of_cgroup(&mut self, ms: u64, id: u64) -> Option<ContainerHandle> {
        self.containers.of_cgroup(at(ms), id, &mut self.window)
    }

    fn events(&self) -> Vec<(EventKind, u64, &str)> {
        let events = self.segments.iter().flat_map(|segment| &segment.events);
        events
            .map(|event| (event.kind, (event.at - at(0)) / MS, event.detail.as_str()))
            .collect()
    }

    fn bytes(&self) -> u64 {
        let cells = self.segments.iter().flat_map(|segment| &segment.file_io);
        cells.map(|cell| cell.value.bytes_out).sum()
    }

    fn losses(&self) -> Vec<Reason> {
        let cells = self.segments.iter().flat_map(|segment| &segment.losses);
        cells.map(|cell| Reason(cell.row.0)).collect()
    }

    /// The newest facts.
    fn fact(&self, name: &str) -> Option<&str> {
        let facts = self.segments.iter().rev().map(|segment| &segment.facts);
        let newest = facts.into_iter().find(|facts| !facts.is_empty());
        newest?.get(name).map(String::as_str)
    }
}

const START: EventKind = EventKind::CONTAINER_START;
const END: EventKind = EventKind::CONTAINER_END;

#[test]
fn news_of_a_former_life_does_not_end_the_next() {
    let mut bench = bench();
    bench.created(100, 11);
    bench.removed(500, 11);
    bench.created(700, 12);
    // Docker's news comes after the records of the kernel.
    bench.docker.send(died(520, "137")).unwrap();
    bench.poll(900);
    bench.poll(9_000);
    let container = bench.of_cgroup(9_000, 12).unwrap();
    bench.write(9_000, container, 100);
    bench.poll(10_000);
    let events = bench.events();
    assert_eq!(
        events,
        [(START, 100, ""), (END, 500, "137"), (START, 700, "")]
    );
    assert_eq!((bench.bytes(), bench.containers.count()), (100, 1));
    for fact in [facts::ENDED, facts::EXIT_CODE, facts::OOM_KILLED] {
        assert_eq!(bench.fact(fact), None, "{fact}");
    }
    assert_eq!(
        bench.fact(facts::STARTED),
        Some(at(700).to_string().as_str())
    );
    bench.poll(11_000);
    bench.docker.send(died(11_120, "0")).unwrap();
    bench.removed(11_100, 12);
    bench.poll(13_000);
    assert_eq!(bench.events().last(), Some(&(END, 11_100, "0")));
    assert_eq!(bench.fact(facts::EXIT_CODE), Some("0"));
}

#[test]
fn an_inspection_counts_for_the_life_that_it_is_about() {
    let mut bench = bench();
    let inspected = |started, ended, oom_killed| Update {
        id: ID.to_owned(),
        user: None,
        facts: vec![(facts::NAME.to_owned(), "web".to_owned())],
        news: News::Inspected {
            started: Some(at(started)),
            ended,
            code: None,
            oom_killed,
        },
    };
    bench.created(100, 11);
    bench.removed(500, 11);
    bench.docker.send(died(510, "137")).unwrap();
    bench.created(700, 12);
    bench
        .docker
        .send(inspected(150, Some(at(510)), true))
        .unwrap();
    bench.poll(1_000);
    assert_eq!(bench.fact(facts::NAME), Some("web"));
    assert_eq!(bench.fact(facts::ENDED), None);
    assert_eq!(bench.fact(facts::OOM_KILLED), None);
    bench.docker.send(inspected(760, None, false)).unwrap();
    bench.poll(2_000);
    assert_eq!(
        bench.fact(facts::STARTED),
        Some(at(760).to_string().as_str())
    );
}

/// A user who makes cgroups too deep to be read does not keep other containers from their end.
#[test]
fn an_unread_subtree_hides_no_other_end() {
    let mut bench = bench();
    let root = bench.folder.path().to_owned();
    let folder = root.join(&PATH[1..]);
    fs::create_dir_all(&folder).unwrap();
    let deep = format!("/user{}/docker-{}.scope", "/d".repeat(40), "a".repeat(64));
    fs::create_dir_all(root.join(&deep[1..])).unwrap();
    let id = |folder: &Path| fs::metadata(folder).unwrap().ino();
    let (own, hidden) = (id(&folder), id(&root.join(&deep[1..])));
    bench.created(100, own);
    let window = &mut bench.window;
    bench
        .containers
        .created(at(100), hidden, Some(&deep), window);
    bench.containers.scan(at(200), &mut bench.window);
    assert_eq!(bench.containers.count(), 2);

    fs::remove_dir(&folder).unwrap();
    bench.containers.scan(at(900), &mut bench.window);
    assert_eq!(bench.containers.count(), 1, "the other one may still run");
    bench.poll(60_000);
    bench.containers.scan(at(60_000), &mut bench.window);
    assert_eq!(bench.containers.take_forgotten().cgroups, [own]);
    assert_eq!(bench.containers.count(), 1);
    // Once, in each container that ran.
    assert_eq!(bench.losses(), [Reason::CGROUP_UNKNOWN; 2]);

    fs::remove_dir_all(root.join("user")).unwrap();
    bench.containers.scan(at(61_000), &mut bench.window);
    assert_eq!(bench.containers.count(), 0);
}

#[test]
fn several_lives_in_one_second_are_in_one_segment() {
    let mut bench = bench();
    let mut expected = Vec::new();
    for life in 0..6 {
        let began = life * 150;
        bench.created(began, 20 + life);
        let container = bench.of_cgroup(began, 20 + life).unwrap();
        bench.write(began, container, 10);
        bench.removed(began + 50, 20 + life);
        bench.docker.send(died(began + 60, "1")).unwrap();
        bench.poll(began + 100);
        expected.extend([(START, began, ""), (END, began + 50, "1")]);
    }
    bench.poll(8_000);
    assert_eq!(bench.events(), expected);
    assert_eq!(bench.bytes(), 60);
    let mut keys: Vec<_> = bench.segments.iter().map(|it| it.key.start).collect();
    let segments = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), segments, "one segment a second");
    assert_eq!(bench.containers.count(), 0);
}

#[test]
fn without_exit_codes_a_start_waits_for_the_end_before_it() {
    let mut bench = bench();
    bench.created(100, 11);
    bench.removed(900, 11);
    bench.created(950, 12);
    bench.poll(4_000);
    let kinds: Vec<_> = bench.events().iter().map(|event| event.0).collect();
    assert_eq!(kinds, [START, END, START]);
}

#[test]
fn a_late_exit_code_is_stored() {
    let mut bench = bench();
    bench.created(100, 11);
    bench.removed(500, 11);
    bench.poll(8_000);
    assert_eq!(bench.events().len(), 2);
    assert_eq!(bench.fact(facts::EXIT_CODE), None);
    bench.docker.send(died(510, "3")).unwrap();
    bench.poll(10_000);
    assert_eq!(bench.fact(facts::EXIT_CODE), Some("3"));
    assert_eq!(bench.containers.take_forgotten().containers.len(), 1);
}

#[test]
fn a_lost_record_of_the_removal_ends_the_former_life() {
    let mut bench = bench();
    bench.created(100, 11);
    bench.created(3_000, 12);
    bench.removed(3_500, 11);
    bench.poll(9_000);
    let kinds: Vec<_> = bench.events().iter().map(|event| event.0).collect();
    assert_eq!(kinds, [START, END, START]);
    assert_eq!(bench.containers.count(), 1);
}

#[test]
fn a_late_sum_of_a_released_container_is_counted() {
    let mut bench = bench();
    bench.created(100, 11);
    bench.removed(500, 11);
    bench.docker.send(died(510, "0")).unwrap();
    bench.poll(9_000);
    let released = bench.containers.take_forgotten().containers;
    assert_eq!(released.len(), 1);
    let container = bench.of_cgroup(9_500, 11).unwrap();
    bench.write(9_500, container, 100);
    bench.poll(40_000);
    assert_eq!(bench.bytes(), 100);
    assert_eq!(bench.events().len(), 2, "no further start or end");
    assert_eq!(bench.containers.take_forgotten().containers.len(), 1);
}

/// The kernel went on counting, and its record of the removal is read by the next agent.
#[test]
fn an_end_without_an_agent_is_the_end_of_a_former_life() {
    let mut bench = bench();
    // The next agent scans when it starts: a minute after the end.
    let now = 60_000;
    bench.containers.scan(at(now), &mut bench.window);
    bench.second = at(now) / SECOND;
    bench.removed(500, 11);
    bench.poll(now);
    // The sums are drained at the end of the second, maybe after a scan.
    bench.containers.scan(at(now + 900), &mut bench.window);
    let handle = bench.of_cgroup(now + 900, 11).expect("still known");
    assert_eq!(bench.containers.removed_at(11), Some(at(500)));
    bench.write(500, handle, 7);
    bench.poll(now + 10_000);
    assert_eq!(bench.fact(facts::ENDED), Some(at(500).to_string().as_str()));
    // The server takes a new start for another life, which has not ended.
    assert_eq!(bench.fact(facts::STARTED), None);
    assert_eq!(bench.events(), [(END, 500, "")]);
    assert_eq!(bench.bytes(), 7);
    assert_eq!(bench.losses(), []);
}

#[test]
fn an_unknown_cgroup_is_a_loss() {
    let mut bench = bench();
    bench.created(100, 11);
    assert_eq!(bench.of_cgroup(200, 99), None);
    assert!(bench.containers.is_unknown(99), "it must not be ignored");
    assert_eq!(bench.of_cgroup(300, 99), None);
    bench.poll(2_000);
    assert_eq!(bench.losses(), [Reason::CGROUP_UNKNOWN]);
}

#[test]
fn a_scan_finds_a_cgroup_with_a_path_too_long_for_a_record() {
    let mut bench = bench();
    let deep = format!("kubepods/{}{ID}", format!("{}/", "x".repeat(200)).repeat(5));
    let folder = bench.folder.path().join(&deep);
    fs::create_dir_all(&folder).unwrap();
    let id = fs::metadata(&folder).unwrap().ino();
    bench
        .containers
        .created(at(100), id, None, &mut bench.window);
    assert!(bench.of_cgroup(200, id).is_some());
}

/// Creates a cgroup with a CPU time. Its id differs from that of the former one.
fn cgroup(root: &Path, user_us: u64) -> u64 {
    let new = root.join("new");
    fs::create_dir(&new).unwrap();
    let stat = format!("usage_usec {user_us}\nuser_usec {user_us}\nsystem_usec 0\n");
    fs::write(new.join("cpu.stat"), stat).unwrap();
    let own = root.join(PATH.trim_start_matches('/'));
    let _ = fs::remove_dir_all(&own);
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::rename(new, &own).unwrap();
    fs::metadata(&own).unwrap().ino()
}

#[test]
fn counters_of_a_new_life_begin_at_zero() {
    let mut bench = bench();
    let first = cgroup(bench.folder.path(), 1_000);
    bench.created(100, first);
    bench.containers.read_totals(at(200), &mut bench.window);
    let second = cgroup(bench.folder.path(), 5_000);
    assert_ne!(first, second);
    // The path leads to the new life, before the record of the removal was read.
    bench.containers.read_totals(at(300), &mut bench.window);
    bench.removed(400, first);
    bench.created(500, second);
    bench.containers.read_totals(at(600), &mut bench.window);
    bench.poll(1_000);
    let totals = bench.segments.iter().flat_map(|segment| &segment.totals);
    let cpu = totals.filter(|cell| Metric(cell.row.0) == Metric::CPU_USER);
    assert_eq!(cpu.map(|cell| cell.value.value).sum::<u64>(), 6_000_000);
    // Its last figures were not read.
    bench
        .containers
        .read_totals_of(at(1_100), first, &mut bench.window);
    bench.poll(3_000);
    assert_eq!(bench.losses(), [Reason::CGROUP_GONE]);
}

#[test]
fn scans_alone_tell_lives_apart() {
    let mut bench = bench();
    cgroup(bench.folder.path(), 1);
    bench.containers.scan(at(100), &mut bench.window);
    cgroup(bench.folder.path(), 1);
    bench.containers.scan(at(2_000), &mut bench.window);
    assert!(
        bench
            .containers
            .of_path(at(2_100), PATH, &mut bench.window)
            .is_some()
    );
    fs::remove_dir_all(bench.folder.path().join("docker")).unwrap();
    bench.containers.scan(at(3_000), &mut bench.window);
    let deleted = format!("{PATH} (deleted)");
    let of_deleted = bench
        .containers
        .of_path(at(3_100), &deleted, &mut bench.window);
    assert!(of_deleted.is_some(), "a process at its end");
    bench.poll(9_000);
    let kinds: Vec<_> = bench.events().iter().map(|event| event.0).collect();
    assert_eq!(kinds, [START, END, START, END]);
}

#[test]
fn without_records_the_last_figures_of_a_life_are_a_loss() {
    let mut bench = bench();
    cgroup(bench.folder.path(), 1);
    bench.containers.scan(at(100), &mut bench.window);
    bench.containers.report_unread_ends(&mut bench.window);
    bench.poll(1_000);
    assert_eq!(bench.losses(), []);
    fs::remove_dir_all(bench.folder.path().join("docker")).unwrap();
    for ms in [1_100, 1_200] {
        bench.containers.scan(at(ms), &mut bench.window);
        bench.containers.report_unread_ends(&mut bench.window);
    }
    bench.poll(3_000);
    assert_eq!(bench.losses(), [Reason::CGROUP_GONE]);
}
