//! The table of processes, fed with records as the kernel sends them.

use std::path::Path;

use bubble_common::kernel::process::{ExecRecord, ExitRecord, ProcessKey, ProcessRecord};
use bubble_common::kernel::record::{Header, Kind};
use bubble_common::segment::ContainerId;
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::process::{Exit, Memory, Process};
use bubble_common::segment::total::Metric;

use super::{Processes, status};
use crate::clock::Clock;
use crate::container::Containers;
use crate::container::hierarchy::Hierarchies;
use crate::container::rule::Rules;
use crate::sink::{ConnectionHandle, ContainerHandle, FileHandle, ProcessHandle, Sink};
use crate::source::Host;
use crate::source::ebpf::cgroup::Ignored;
use crate::source::ebpf::turn::Turn;

const DOCKER: &str = "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const CGROUP: u64 = 77;
const HOST: u64 = 5;

/// Keeps what it is told; the handle of a process is where its row is.
#[derive(Default)]
struct Kept {
    rows: Vec<Process>,
    released: Vec<u32>,
    memory: Vec<(u32, Memory)>,
    events: Vec<(EventKind, Option<ProcessHandle>)>,
}

impl Sink for Kept {
    fn container(&mut self, _: &ContainerId) -> ContainerHandle {
        ContainerHandle(0)
    }
    fn fact(&mut self, _: ContainerHandle, _: &str, _: &str) {}
    fn process(&mut self, _: ContainerHandle, process: &Process) -> ProcessHandle {
        let at = self.rows.iter().position(|row| row.id == process.id);
        let at = at.unwrap_or_else(|| {
            self.rows.push(process.clone());
            self.rows.len() - 1
        });
        self.rows[at] = process.clone();
        ProcessHandle(at as u32)
    }
    fn file(&mut self, _: ContainerHandle, _: &File) -> FileHandle {
        FileHandle(0)
    }
    fn connection(&mut self, _: ContainerHandle, _: &Connection) -> ConnectionHandle {
        ConnectionHandle(0)
    }
    fn cpu(&mut self, _: u64, _: ProcessHandle, _: u32, _: u64) {}
    fn memory(&mut self, _: u64, process: ProcessHandle, memory: Memory) {
        self.memory.push((process.0, memory));
    }
    fn file_io(&mut self, _: u64, _: ProcessHandle, _: FileHandle, _: FileIo) {}
    fn network_io(&mut self, _: u64, _: ProcessHandle, _: ConnectionHandle, _: NetworkIo) {}
    fn total(&mut self, _: u64, _: ContainerHandle, _: Metric, _: u64) {}
    fn event(
        &mut self,
        _: u64,
        _: ContainerHandle,
        kind: EventKind,
        process: Option<ProcessHandle>,
        _: &str,
    ) {
        self.events.push((kind, process));
    }
    fn loss(&mut self, _: u64, _: Option<ContainerHandle>, _: Reason, _: Loss) {}
    fn alive(&mut self, _: u64, _: ContainerHandle) {}
    fn release_process(&mut self, process: ProcessHandle) {
        self.released.push(process.0);
    }
    fn release_container(&mut self, _: ContainerHandle) {}
    fn advance(&mut self, _: u64) {}
}

/// A host with one container.
struct Bench {
    processes: Processes,
    ignored: Ignored,
    clock: Clock,
    containers: Containers,
    sink: Kept,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("cgroup.controllers"), "cpu memory").expect("writable");
        let hierarchies = Hierarchies::under(folder.path()).expect("it looks like cgroup v2");
        let mut containers = Containers::new(hierarchies, Rules::default(), false);
        let mut sink = Kept::default();
        containers.created(0, CGROUP, DOCKER, &mut sink);
        containers.created(0, HOST, "/init.scope", &mut sink);
        assert!(Path::new(DOCKER).is_absolute());
        Self {
            processes: Processes::default(),
            ignored: Ignored::nowhere(),
            clock: Clock::new(),
            containers,
            sink,
        }
    }

    fn turn(&mut self, work: impl FnOnce(&mut Turn<'_, '_, Kept>)) {
        let mut host = Host {
            clock: &self.clock,
            containers: &mut self.containers,
        };
        work(&mut Turn {
            at: 0,
            processes: &mut self.processes,
            ignored: &mut self.ignored,
            host: &mut host,
            sink: &mut self.sink,
        });
    }

    fn drain(&mut self) {
        self.turn(|turn| {
            turn.processes.turn(turn.sink);
        });
    }

    fn process(&mut self, kind: Kind, key: ProcessKey, comm: &str) {
        let record = told(kind, key, comm);
        self.turn(|turn| turn.process(&record));
    }

    fn exec(&mut self, key: ProcessKey, comm: &str, exe: &str, args: &str) {
        let exec = ExecRecord {
            process: told(Kind::EXEC, key, comm),
            peak_pages: 100,
            args_total: args.len() as u32,
            ..ExecRecord::default()
        };
        self.turn(|turn| turn.exec(&exec, exe.as_bytes(), args.as_bytes()));
    }

    fn exit(&mut self, key: ProcessKey, status: u32, peak_pages: u64, vm_pages: u64) {
        let exit = ExitRecord {
            header: header(Kind::EXIT, key),
            peak_pages,
            vm_pages,
            status,
            container_pid: 9,
            comm: comm("late"),
        };
        self.turn(|turn| turn.exit(&exit));
    }
}

/// A number that no process of this host has: beyond the kernel's highest.
fn key(exec: u32) -> ProcessKey {
    ProcessKey {
        cgroup: CGROUP,
        start: 1_000_000_000,
        pid: 5_000_001,
        exec,
    }
}

fn header(kind: Kind, process: ProcessKey) -> Header {
    Header {
        kind,
        unused: 0,
        at: 2_000_000_000 + u64::from(process.exec),
        process,
    }
}

fn comm(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    comm
}

fn told(kind: Kind, key: ProcessKey, name: &str) -> ProcessRecord {
    ProcessRecord {
        header: header(kind, key),
        parent: ProcessKey {
            pid: 5_000_000,
            ..key
        },
        uid: 33,
        container_pid: 9,
        comm: comm(name),
    }
}

#[test]
fn a_status_is_a_code_or_a_signal() {
    assert_eq!(status(3 << 8), Exit::Code(3));
    assert_eq!(status(0), Exit::Code(0));
    assert_eq!(status(9), Exit::Signal(9));
    assert_eq!(status(0x80 | 11), Exit::Signal(11), "with a core dump");
}

#[test]
fn a_short_life_is_told_in_full() {
    let mut bench = Bench::new();
    bench.process(Kind::FORK, key(7), "sh");
    bench.exec(key(8), "true", "/bin/true", "true\0one two\0");
    bench.exit(key(8), 3 << 8, 300, 900);
    let rows = &bench.sink.rows;
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].id.exec, &*rows[0].name), (0, "sh"));
    assert_eq!(
        (rows[0].exit, rows[0].end),
        (None, bench.clock.of_boot(2_000_000_008))
    );
    assert_eq!((rows[1].id.exec, &*rows[1].name), (1, "true"));
    assert_eq!(
        (&*rows[1].exe, &*rows[1].args),
        ("/bin/true", "true\0one two")
    );
    assert_eq!(
        (rows[1].uid, rows[1].container_pid, rows[1].parent),
        (33, 9, 5_000_000)
    );
    assert_eq!(rows[1].exit, Some(Exit::Code(3)));
    assert_eq!(rows[0].id.start, rows[1].id.start);
    let page = crate::source::ebpf::memory::page_size();
    assert_eq!(bench.sink.memory[0].1.rss, 300 * page);
    assert_eq!(bench.processes.exits().len(), 1, "the last one ended");
}

#[test]
fn the_peak_of_the_program_before_is_not_taken_for_this_one() {
    let mut bench = Bench::new();
    bench.exec(key(8), "true", "/bin/true", "true\0");
    bench.exit(key(8), 0, 100, 20);
    let page = crate::source::ebpf::memory::page_size();
    assert_eq!(bench.sink.memory[0].1.rss, 20 * page);
}

#[test]
fn a_row_outlives_its_exit_by_the_sums_that_come_late() {
    let mut bench = Bench::new();
    bench.exec(key(1), "true", "/bin/true", "true\0");
    bench.exit(key(1), 0, 1, 1);
    bench.drain();
    assert!(bench.processes.known(&key(1)).is_some());
    bench.drain();
    bench.drain();
    assert_eq!(bench.sink.released, [0]);
    assert!(bench.processes.known(&key(1)).is_none());
    assert!(bench.processes.is_empty());
}

#[test]
fn a_container_is_told_of_when_its_last_process_ends() {
    let mut bench = Bench::new();
    let other = ProcessKey {
        pid: 5_000_002,
        ..key(1)
    };
    bench.exec(key(1), "x", "/x", "x\0");
    bench.exec(key(1), "x", "/x", "x\0");
    bench.process(Kind::FORK, other, "y");
    // What runs another program lives on.
    bench.exec(key(2), "z", "/z", "z\0");
    bench.exit(other, 0, 1, 1);
    assert_eq!(bench.processes.exits(), [], "z still runs");
    bench.exit(key(2), 0, 1, 1);
    assert_eq!(bench.processes.exits().len(), 1);
    assert_eq!(bench.processes.exits(), [], "it is told once");
    for _ in 0..4 {
        bench.drain();
    }
    assert!(bench.processes.is_empty());
    bench.exec(key(3), "x", "/x", "x\0");
    bench.exit(key(3), 0, 1, 1);
    assert_eq!(bench.processes.exits().len(), 1, "nobody else is left");
}

#[test]
fn two_exits_of_one_process_are_one() {
    let mut bench = Bench::new();
    bench.exec(key(1), "x", "/x", "x\0");
    bench.exit(key(1), 9, 1, 1);
    bench.exit(key(1), 0, 1, 1);
    assert_eq!(bench.sink.rows[0].exit, Some(Exit::Signal(9)));
    for _ in 0..4 {
        bench.drain();
    }
    assert_eq!(bench.sink.released, [0]);
}

#[test]
fn a_process_that_renames_itself_is_another_row() {
    let mut bench = Bench::new();
    bench.exec(key(4), "server", "/server", "server\0");
    bench.process(Kind::RENAME, key(4), "worker");
    let rows = &bench.sink.rows;
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&*rows[1].name, &*rows[1].args, rows[1].id.exec),
        ("worker", "server", 1)
    );
    assert_ne!(rows[0].end, 0);
    assert_eq!(rows[1].end, 0);
    bench.exec(key(5), "other", "/other", "other\0");
    assert_eq!(bench.sink.rows[2].id.exec, 2, "numbers go on");
}

#[test]
fn what_is_not_in_a_container_is_left_out() {
    let mut bench = Bench::new();
    let outside = ProcessKey {
        cgroup: HOST,
        ..key(1)
    };
    bench.process(Kind::FORK, outside, "cron");
    assert!(bench.sink.rows.is_empty());
    assert!(bench.ignored.contains(HOST));
}

#[test]
fn an_exit_alone_still_names_its_process() {
    let mut bench = Bench::new();
    bench.exit(key(1), 1 << 8, 5, 5);
    let row = &bench.sink.rows[0];
    assert_eq!((&*row.name, row.exit), ("late", Some(Exit::Code(1))));
}

#[test]
fn a_kill_that_is_told_by_number_finds_its_process() {
    let mut bench = Bench::new();
    bench.exec(key(1), "hog", "/hog", "hog\0");
    let victim = Header {
        process: ProcessKey {
            pid: key(1).pid,
            ..ProcessKey::default()
        },
        ..header(Kind::OOM, key(1))
    };
    bench.turn(|turn| turn.oom(&victim));
    assert_eq!(
        bench.sink.events,
        [(EventKind::OOM_KILL, Some(ProcessHandle(0)))]
    );
}

#[test]
fn what_ended_unheard_is_found_out() {
    let mut bench = Bench::new();
    bench.exec(key(1), "lost", "/lost", "lost\0");
    let gone = bench.processes.gone();
    bench.turn(|turn| turn.processes.end_gone(&gone, 42, turn.sink));
    assert_eq!(
        (bench.sink.rows[0].end, bench.sink.rows[0].exit),
        (42, None)
    );
}

#[test]
fn an_exit_that_is_heard_after_the_look_is_not_lost() {
    let mut bench = Bench::new();
    bench.exec(key(1), "told", "/told", "told\0");
    let gone = bench.processes.gone();
    assert_eq!(gone, [key(1)]);
    bench.exit(key(1), 3 << 8, 1, 1);
    bench.turn(|turn| turn.processes.end_gone(&gone, 42, turn.sink));
    assert_eq!(bench.sink.rows[0].exit, Some(Exit::Code(3)));
}
