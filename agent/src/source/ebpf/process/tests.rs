//! The table of processes, given records as the kernel sends them.

use std::path::Path;

use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::process::{ExecRecord, ExitRecord, ProcessRecord};
use bubble_common::kernel::record::{Header, Kind};
use bubble_common::segment::ContainerId;
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::process::{Exit, Memory, Process};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::KINDS;

use super::status;
use super::table::Processes;
use crate::clock::Clock;
use crate::container::Containers;
use crate::container::hierarchy::Hierarchies;
use crate::container::rule::Rules;
use crate::proc::{ProcessFolder, TICK};
use crate::sink::{ConnectionHandle, ContainerHandle, FileHandle, ProcessHandle, Sink};
use crate::source::Host;
use crate::source::ebpf::cgroup::Ignored;
use crate::source::ebpf::context::Context;
use crate::source::ebpf::memory::Reader;

const DOCKER: &str = "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const CGROUP: u64 = 77;
const HOST: u64 = 5;

/// A sink that records its calls. The handle of a process is the index of its row.
#[derive(Default)]
struct Recorder {
    rows: Vec<Process>,
    released: Vec<u32>,
    memory: Vec<(u32, Memory)>,
    events: Vec<(EventKind, Option<ProcessHandle>)>,
}

impl Sink for Recorder {
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
    fn waits(&mut self, _: u64, _: ProcessHandle, _: [u64; KINDS]) {}
    fn file_io(&mut self, _: u64, _: ProcessHandle, _: FileHandle, _: FileIo) {}
    fn network_io(&mut self, _: u64, _: ProcessHandle, _: ConnectionHandle, _: NetworkIo) {}
    fn file_wait(&mut self, _: u64, _: ProcessHandle, _: FileHandle, _: u64) {}
    fn connection_wait(&mut self, _: u64, _: ProcessHandle, _: ConnectionHandle, _: u64) {}
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
    sink: Recorder,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("cgroup.controllers"), "cpu memory").expect("writable");
        let hierarchies = Hierarchies::under(folder.path()).expect("it looks like cgroup v2");
        let mut containers = Containers::new(hierarchies, Rules::default(), false);
        let mut sink = Recorder::default();
        containers.created(0, CGROUP, Some(DOCKER), &mut sink);
        containers.created(0, HOST, Some("/init.scope"), &mut sink);
        assert!(Path::new(DOCKER).is_absolute());
        Self {
            processes: Processes::default(),
            ignored: Ignored::without_map(),
            clock: Clock::new(),
            containers,
            sink,
        }
    }

    fn with_context(&mut self, work: impl FnOnce(&mut Context<'_, '_, Recorder>)) {
        let mut host = Host {
            clock: &self.clock,
            containers: &mut self.containers,
        };
        work(&mut Context {
            at: 0,
            is_late: false,
            processes: &mut self.processes,
            ignored: &mut self.ignored,
            host: &mut host,
            sink: &mut self.sink,
        });
    }

    fn drain(&mut self) {
        self.with_context(|context| {
            context.processes.end_drain(context.sink);
        });
    }

    fn process(&mut self, kind: Kind, key: ProcessKey, comm: &str) {
        let record = record(kind, key, comm);
        self.with_context(|context| context.process(&record));
    }

    fn exec(&mut self, key: ProcessKey, comm: &str, exe: &str, args: &str) {
        let exec = ExecRecord {
            process: record(Kind::EXEC, key, comm),
            peak_pages: 100,
            args_total: args.len() as u32,
            ..ExecRecord::default()
        };
        self.with_context(|context| context.exec(&exec, exe.as_bytes(), args.as_bytes()));
    }

    fn exit(&mut self, key: ProcessKey, status: u32, peak_pages: u64, vm_pages: u64) {
        let exit = ExitRecord {
            header: header(Kind::EXIT, key),
            peak_pages,
            vm_pages,
            status,
            container_pid: 9,
            uid: 34,
            gid: 35,
            comm: comm("late"),
        };
        self.with_context(|context| context.exit(&exit));
    }
}

/// A pid beyond the kernel's maximum, so that no process has it.
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

fn record(kind: Kind, key: ProcessKey, name: &str) -> ProcessRecord {
    ProcessRecord {
        header: header(kind, key),
        parent: ProcessKey {
            pid: 5_000_000,
            ..key
        },
        stack: 0x7fff_0000,
        uid: 33,
        gid: 33,
        container_pid: 9,
        unused: 0,
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
fn a_short_process_has_all_its_rows() {
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
    assert_eq!((rows[1].id.exec, &*rows[1].name), (1, "late"));
    assert_eq!(
        (&*rows[1].exe, &*rows[1].args),
        ("/bin/true", "true\0one two")
    );
    assert_eq!(
        (
            rows[1].uid,
            rows[1].gid,
            rows[1].container_pid,
            rows[1].parent
        ),
        (34, Some(35), 9, 5_000_000),
        "user and group at its end"
    );
    assert_eq!(rows[1].exit, Some(Exit::Code(3)));
    assert_eq!(rows[0].id.start, rows[1].id.start);
    let page = crate::source::ebpf::memory::page_size();
    let memory = bench.sink.memory[0].1;
    assert_eq!((memory.rss, memory.private), (300 * page, 300 * page));
    assert_eq!(bench.processes.take_exits().len(), 1, "the last one ended");
}

#[test]
fn the_peak_of_an_earlier_program_is_not_counted() {
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
    assert!(bench.processes.touch(&key(1)).is_some());
    bench.drain();
    bench.drain();
    assert_eq!(bench.sink.released, [0]);
    assert!(bench.processes.touch(&key(1)).is_none());
    assert!(bench.processes.is_empty());
}

#[test]
fn the_rows_of_a_released_container_are_dropped() {
    let mut bench = Bench::new();
    bench.exec(key(1), "x", "/x", "x\0");
    bench.exit(key(1), 0, 1, 1);
    let other = ProcessKey {
        pid: 5_000_002,
        ..key(1)
    };
    bench.process(Kind::FORK, other, "y");
    bench
        .processes
        .release(ContainerHandle(0), 9, &mut bench.sink);
    assert!(bench.processes.is_empty());
    bench.sink.released.sort_unstable();
    assert_eq!(bench.sink.released, [0, 1]);
    assert_eq!(bench.sink.rows[1].end, 9, "its exit was lost");
    // A late sum makes another row, which the end of the former one does not remove.
    bench.process(Kind::ALIVE, key(1), "x");
    for _ in 0..4 {
        bench.drain();
    }
    assert!(bench.processes.touch(&key(1)).is_some());
}

#[test]
fn a_container_is_reported_when_its_last_process_ends() {
    let mut bench = Bench::new();
    let other = ProcessKey {
        pid: 5_000_002,
        ..key(1)
    };
    bench.exec(key(1), "x", "/x", "x\0");
    bench.exec(key(1), "x", "/x", "x\0");
    bench.process(Kind::FORK, other, "y");
    // A process that runs another program lives on.
    bench.exec(key(2), "z", "/z", "z\0");
    bench.exit(other, 0, 1, 1);
    assert_eq!(bench.processes.take_exits(), [0; 0], "z still runs");
    bench.exit(key(2), 0, 1, 1);
    assert_eq!(bench.processes.take_exits(), [CGROUP]);
    assert_eq!(bench.processes.take_exits(), [0; 0], "it is reported once");
    for _ in 0..4 {
        bench.drain();
    }
    assert!(bench.processes.is_empty());
    bench.exec(key(3), "x", "/x", "x\0");
    bench.exit(key(3), 0, 1, 1);
    assert_eq!(bench.processes.take_exits().len(), 1, "nobody else is left");
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
fn a_process_that_renames_itself_is_one_row() {
    let mut bench = Bench::new();
    bench.exec(key(4), "server", "/server", "server\0");
    for number in 0..2_000 {
        bench.process(Kind::RENAME, key(4), &format!("worker-{number}"));
    }
    let rows = &bench.sink.rows;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&*rows[0].name, &*rows[0].args, rows[0].id.exec),
        ("worker-1999", "server", 0)
    );
    assert_eq!(rows[0].end, 0);
    bench.exec(key(5), "other", "/other", "other\0");
    assert_eq!(bench.sink.rows[1].id.exec, 1);
}

/// The row of this test's own process, with a record that says `stack`.
fn own_row(bench: &mut Bench, stack: u64) -> ProcessKey {
    let pid = std::process::id();
    let folder = ProcessFolder::new(Path::new("/proc"), pid);
    let stat = folder
        .stat()
        .expect("it runs")
        .expect("as the kernel writes it");
    let key = ProcessKey {
        pid,
        start: stat.start * TICK,
        ..key(1)
    };
    let mut record = record(Kind::ALIVE, key, "an-old-name");
    record.stack = if stack == 0 { stat.stack } else { stack };
    bench.with_context(|context| context.process(&record));
    let mut reader = Reader::new();
    bench.with_context(|context| context.processes.check(1, &mut reader, context.sink));
    key
}

#[test]
fn proc_has_what_the_record_of_a_process_lacks() {
    let mut bench = Bench::new();
    own_row(&mut bench, 0);
    let row = &bench.sink.rows[0];
    let exe = std::env::current_exe().expect("/proc is mounted");
    assert_eq!(Some(&*row.exe), exe.to_str());
    assert_eq!(
        row.args.split('\0').next(),
        std::env::args().next().as_deref()
    );
    assert_ne!(row.name, "an-old-name");
    assert!(
        !bench.sink.memory.is_empty(),
        "the segment of this second has the state"
    );
}

#[test]
fn proc_is_not_believed_about_another_program() {
    let mut bench = Bench::new();
    own_row(&mut bench, 1);
    let row = &bench.sink.rows[0];
    assert_eq!((&*row.name, &*row.exe, &*row.args), ("an-old-name", "", ""));
}

#[test]
fn a_process_without_a_record_waits_for_one() {
    let mut bench = Bench::new();
    bench.processes.set_can_list(true);
    bench.with_context(|context| assert!(context.owner(&key(3)).is_some()));
    assert!(bench.processes.take_needs_list());
    assert!(!bench.processes.take_needs_list(), "once");
    bench.process(Kind::ALIVE, key(3), "found");
    bench.process(Kind::ALIVE, key(3), "again");
    assert_eq!(bench.sink.rows.len(), 1);
    assert_eq!(
        (&*bench.sink.rows[0].name, bench.sink.rows[0].uid),
        ("found", 33)
    );
    // The record of its exec was lost: the list has its newer program.
    bench.process(Kind::ALIVE, key(4), "newer");
    assert_eq!(bench.sink.rows.len(), 2);
    assert_ne!(bench.sink.rows[0].end, 0);
    assert_eq!(bench.sink.rows[1].id.exec, 1);
}

#[test]
fn processes_outside_of_containers_are_ignored() {
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
fn a_kill_with_only_a_pid_finds_its_process() {
    let mut bench = Bench::new();
    bench.exec(key(1), "hog", "/hog", "hog\0");
    let victim = Header {
        process: ProcessKey {
            pid: key(1).pid,
            ..ProcessKey::default()
        },
        ..header(Kind::OOM, key(1))
    };
    bench.with_context(|context| context.oom(&victim));
    assert_eq!(
        bench.sink.events,
        [(EventKind::OOM_KILL, Some(ProcessHandle(0)))]
    );
}

#[test]
fn a_lost_exit_record_is_noticed() {
    let mut bench = Bench::new();
    bench.exec(key(1), "lost", "/lost", "lost\0");
    let gone = bench.processes.find_gone();
    bench.with_context(|context| context.processes.end_gone(&gone, 42, context.sink));
    assert_eq!(
        (bench.sink.rows[0].end, bench.sink.rows[0].exit),
        (42, None)
    );
}

#[test]
fn an_exit_record_after_the_check_wins() {
    let mut bench = Bench::new();
    bench.exec(key(1), "late", "/late", "late\0");
    let gone = bench.processes.find_gone();
    assert_eq!(gone, [key(1)]);
    bench.exit(key(1), 3 << 8, 1, 1);
    bench.with_context(|context| context.processes.end_gone(&gone, 42, context.sink));
    assert_eq!(bench.sink.rows[0].exit, Some(Exit::Code(3)));
}
