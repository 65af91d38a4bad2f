//! Reports: a run of known content against checked-in texts, and sums of any segments.

use std::fs;
use std::path::Path;

use bubble_common::report::form::{NetworkSums, ProcessSums, ReportFileSums};
use bubble_common::report::render::{Format, render};
use bubble_common::report::tally::Tally;
use bubble_common::report::{Context, Report};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Cpu, Exit, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::{UNIT, Waits};
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId, facts};
use bubble_testing::arbitrary;
use proptest::prelude::{prop_assert_eq, proptest};

const START: u64 = 1_790_000_000;
const SECOND: u64 = 1_000_000_000;

fn key(start: u64) -> Key {
    Key {
        container: ContainerId::new("run-0123456789abcdef").unwrap(),
        resolution: Resolution::Second,
        start,
        source: SourceId([1; 16]),
    }
}

fn process(pid: u32, parent: u32, name: &str, args: &str) -> Process {
    let id = ProcessId {
        pid,
        start: START * SECOND + u64::from(pid),
        exec: 1,
    };
    Process {
        parent,
        args: args.replace(' ', "\0"),
        ..Process::new(id, name)
    }
}

/// Second `at` of a build of twelve seconds: `make` starts a compiler each second, waits for
/// a peer that refuses, and its memory grows.
fn second(at: u64) -> Segment {
    let mut builder = Builder::new(key(START + at), 1);
    builder.cover(0, Coverage::SECOND);
    for (name, value) in [
        (facts::NAME, "make"),
        (facts::HOST, "node7"),
        (facts::HOOKS, "syscall"),
        (facts::CORES, "8"),
        (facts::HOST_MEMORY, "16000000000"),
        (facts::STARTED, "1790000000250000000"),
    ] {
        builder.fact(name, value);
    }
    let make = builder.process(process(100, 99, "make", "make -j2 all|every"));
    let mut compiler = process(200 + at as u32, 100, "cc1", "cc1 -O2 x.c");
    compiler.end = compiler.id.start + 900_000_000;
    compiler.exit = Some(if at == 5 {
        Exit::Code(1)
    } else {
        Exit::Code(0)
    });
    let compiler = builder.process(compiler);
    builder.cpu(make, 0, 0, Cpu { ns: 250_000_000 });
    builder.cpu(compiler, 0, 0, Cpu { ns: 600_000_000 });
    builder.cpu(
        compiler,
        1,
        0,
        Cpu {
            ns: at * 20_000_000,
        },
    );
    let memory = |rss: u64| Memory {
        vm: 2 * rss,
        rss,
        swap: 0,
        private: rss,
    };
    // In tenths of a millisecond. `make` waits for its children, in the last seconds for a disk, too.
    let waits = Waits {
        child: 7_000,
        disk: 100 * at,
        ..Waits::default()
    };
    builder.waits(make, 0, waits);
    let waits = Waits {
        core: 500,
        lock: 12,
        ..Waits::default()
    };
    builder.waits(compiler, 0, waits);
    builder.memory(make, 0, memory(10 << 20));
    builder.memory(compiler, 0, memory((50 + at) << 20));
    let mut file = |process: u32, path: &str, kind: FileKind, io: FileIo| {
        let file = builder.file(File {
            path: path.to_owned(),
            kind,
        });
        builder.file_io(process, file, 0, io);
    };
    let read = |bytes_in: u64, ops_in: u64| FileIo {
        bytes_in,
        ops_in,
        opens: 1,
        ..FileIo::default()
    };
    let written = |bytes_out: u64| FileIo {
        bytes_out,
        ops_out: 1,
        opens: 1,
        ..FileIo::default()
    };
    file(
        compiler,
        "/src/all.h",
        FileKind::Regular,
        read(100_000, 1_000),
    );
    file(
        compiler,
        &format!("/src/{at}.c"),
        FileKind::Regular,
        read(5_000, 2),
    );
    file(
        compiler,
        &format!("/out/{at}.o"),
        FileKind::Regular,
        written(70_000),
    );
    file(make, "pipe", FileKind::Pipe, read(1, 1));
    let connection = builder.connection(Connection {
        protocol: Protocol::Tcp,
        role: Role::Client,
        local: Address::None,
        peer: Address::Ip([10, 0, 0, 3].into(), 443),
    });
    let failed = NetworkIo {
        failures: 1,
        ..NetworkIo::default()
    };
    builder.network_io(make, connection, 0, failed);
    builder.event(Event {
        at: (START + at) * SECOND + 7_000_000,
        kind: EventKind::CONNECTION_FAILED,
        process: Some(make),
        detail: "10.0.0.3:443".to_owned(),
    });
    for (metric, value) in [
        (Metric::CPU_USER, 700_000_000 + at * 20_000_000),
        (Metric::CPU_SYSTEM, 150_000_000),
        (Metric::CPU_LIMIT, 2_000),
        (Metric::CPU_THROTTLED, 30_000_000),
        (Metric::MEMORY_CURRENT, (100 + 8 * at) << 20),
        (Metric::MEMORY_ANON, (60 + 8 * at) << 20),
        (Metric::MEMORY_FILE, 30 << 20),
        (Metric::MEMORY_LIMIT, 200 << 20),
        (Metric::PRESSURE_CPU_SOME, 100_000_000),
        (Metric::BLOCK_IN, 1 << 20),
        (Metric::BLOCK_OUT, 0),
        (Metric::PROCESSES_STARTED, if at == 0 { 2 } else { 1 }),
    ] {
        builder.total(metric, 0, value);
    }
    if at == 3 {
        let loss = Loss {
            count: 2,
            bytes: 4_096,
        };
        builder.loss(Reason::IO_URING, 0, loss);
    }
    if at == 11 {
        builder.fact(facts::ENDED, "1790000011750000000");
        builder.fact(facts::EXIT_CODE, "2");
    }
    builder.build()
}

fn report_of(segments: &[Segment], context: &Context) -> Report {
    let mut tally = Tally::default();
    for segment in segments {
        tally.add(segment);
    }
    let (id, sums) = tally.containers.first_key_value().unwrap();
    Report::new(id, sums, context)
}

fn build() -> Report {
    let segments: Vec<Segment> = (0..12).map(second).collect();
    let context = Context {
        missing: vec!["mapped files: what is read there passes no hook".to_owned()],
        rows: 5,
        ..Context::default()
    };
    report_of(&segments, &context)
}

#[test]
fn a_gap_within_a_minute_is_a_gap() {
    let mut builder = Builder::new(key(1_200_000), 60);
    let process = builder.process(process(100, 1, "spin", "spin"));
    for slot in (0..10).chain(40..60) {
        builder.cover(slot, Coverage::SECOND);
        builder.cpu(process, 0, slot, Cpu { ns: SECOND });
    }
    let fine = builder.build();
    let coarse = fine.coarsen().unwrap();
    let [fine, coarse] = [fine, coarse].map(|one| report_of(&[one], &Context::default()));
    assert_eq!(fine.time.gap_seconds, 30);
    assert_eq!(coarse.time.gap_seconds, 30);
    assert_eq!((fine.cpu.cores_mean, coarse.cpu.cores_mean), (1.0, 1.0));
}

#[test]
fn throttled_time_of_several_cores_is_a_share_of_their_cpu_time() {
    // A limit of one core lets `threads` run for a part of each second, on as many cores.
    let report = |threads: u64| {
        let mut builder = Builder::new(key(START), 1);
        builder.cover(0, Coverage::SECOND);
        let process = builder.process(process(100, 1, "spin", "spin"));
        for core in 0..threads {
            let ns = SECOND / threads;
            builder.cpu(process, core as u32, 0, Cpu { ns });
        }
        builder.total(Metric::CPU_USER, 0, SECOND);
        builder.total(Metric::CPU_SYSTEM, 0, 0);
        builder.total(Metric::CPU_LIMIT, 0, 1_000);
        builder.total(Metric::CPU_THROTTLED, 0, (threads - 1) * SECOND);
        report_of(&[builder.build()], &Context::default())
    };
    for (threads, percent) in [(1, 0.0), (2, 50.0), (4, 75.0), (50, 98.0)] {
        let report = report(threads);
        assert_eq!(report.cpu.throttled_percent, Some(percent), "{threads}");
    }
    let advice = report(4).advice;
    let told = advice.iter().find(|advice| advice.rule == "throttled");
    let text = told.map(|advice| advice.text.as_str());
    let expected = "its CPU limit of 1 core held back 75 % of the CPU time that it could have used";
    assert_eq!(text, Some(expected));
}

#[test]
fn the_time_budget_is_that_of_sources_that_count_waits() {
    let spin = |source: u8, at: u64, core: Option<u64>| {
        let key = Key {
            source: SourceId([source; 16]),
            ..key(START + at)
        };
        let mut builder = Builder::new(key, 1);
        builder.cover(0, Coverage::SECOND);
        let process = builder.process(process(100, 1, "spin", "spin"));
        builder.cpu(process, 0, 0, Cpu { ns: 600_000_000 });
        if let Some(core) = core {
            let waits = Waits {
                core,
                ..Waits::default()
            };
            builder.waits(process, 0, waits);
        }
        builder.build()
    };
    // An agent before an upgrade, and the one after it. In its second second the process did not wait.
    let segments = [spin(1, 0, None), spin(2, 1, Some(9)), spin(2, 2, None)];
    let report = report_of(&segments, &Context::default());
    let budget = report.budget.expect("waits");
    assert_eq!(budget.running_ns, 1_200_000_000);
    assert_eq!(
        report.missing,
        ["waits of a part of the time, in which processes used 1.20 s of 1.80 s CPU time"]
    );
    let report = report_of(&segments[1..], &Context::default());
    assert_eq!(report.missing, [""; 0]);
}

#[test]
fn the_file_and_the_peer_that_were_waited_for_longest_are_named() {
    let mut builder = Builder::new(key(START), 1);
    builder.cover(0, Coverage::SECOND);
    let process = builder.process(process(100, 1, "db", "db"));
    for (path, kind, waited) in [
        ("/data/db.sqlite", FileKind::Regular, 6_000),
        ("/data/log", FileKind::Regular, 500),
        ("(other)", FileKind::Other, 9_000),
    ] {
        let file = builder.file(File {
            path: path.to_owned(),
            kind,
        });
        let io = FileIo {
            waited,
            ..FileIo::default()
        };
        builder.file_io(process, file, 0, io);
    }
    for (role, last, waited) in [(Role::Server, 3, 8_000), (Role::Client, 4, 70)] {
        let connection = builder.connection(Connection {
            protocol: Protocol::Tcp,
            role,
            local: Address::None,
            peer: Address::Ip([10, 0, 0, last].into(), 443),
        });
        let io = NetworkIo {
            waited,
            ..NetworkIo::default()
        };
        builder.network_io(process, connection, 0, io);
    }
    let waits = Waits {
        disk: 16_000,
        network: 8_070,
        sleep: 1_000_000,
        ..Waits::default()
    };
    builder.waits(process, 0, waits);
    let report = report_of(&[builder.build()], &Context::default());
    assert_eq!(report.files.total.waited_ns, 1_550_000_000);
    let file = report.files.longest_wait.as_ref().expect("a file");
    assert_eq!(file.path, "/data/db.sqlite");
    // A server waits for clients that ask nothing.
    let peer = report.network.longest_wait.as_ref().expect("a peer");
    assert_eq!(peer.sums.waited_ns, 7_000_000);
    let text = render(&report, Format::Text);
    let line = text.lines().find(|line| line.contains("  waited  "));
    // Less than one percent is not told.
    assert_eq!(
        line.map(str::trim_start),
        Some(
            "waited      25 % for /data/db.sqlite (600.0 ms) of the 2.41 s that threads ran or were held up"
        )
    );
}

/// Compares with a file; `BUBBLE_BLESS=1` writes it.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/report")
        .join(name);
    if std::env::var_os("BUBBLE_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, expected,
        "{name}: if this is right, BUBBLE_BLESS=1 keeps it"
    );
}

#[test]
fn a_report_as_text() {
    golden("build.txt", &render(&build(), Format::Text));
}

#[test]
fn a_report_as_markdown() {
    golden("build.md", &render(&build(), Format::Markdown));
}

#[test]
fn a_report_as_json() {
    let json = serde_json::to_string_pretty(&build()).unwrap();
    golden("build.json", &(json + "\n"));
}

#[test]
fn a_report_has_the_figures_of_the_run() {
    let report = build();
    assert_eq!(report.time.wall_seconds, 11.5);
    assert_eq!(report.container.exit_code, Some(2));
    let cpu: u64 = (0..12).map(|at| 850_000_000 + at * 20_000_000).sum();
    assert_eq!(report.cpu.time_ns, cpu);
    assert_eq!(report.processes.started, 13);
    assert_eq!((report.processes.ended, report.processes.failed), (12, 1));
    assert_eq!(report.processes.failures[0].exit, "code 1");
    let make = report
        .processes
        .commands
        .iter()
        .find(|row| row.name == "make");
    let make = make.unwrap();
    assert_eq!(make.with_children.cpu_ns, cpu);
    assert_eq!(make.own.cpu_ns, 12 * 250_000_000);
    assert_eq!(report.memory.peak_bytes, Some(188 << 20));
    assert_eq!(report.memory.peak_at, Some((START + 11) as f64));
    assert_eq!(report.memory.resident_bytes, Some(71 << 20));
    assert_eq!(
        (
            report.files.only_read.files,
            report.files.only_written.files
        ),
        (13, 12)
    );
    assert_eq!(report.files.by_file.count, 26);
    assert_eq!(report.network.total.failures, 12);
    assert_eq!(report.losses.len(), 1);
    assert_eq!(report.missing.len(), 1);
}

/// A process counts for the program that it ran, whichever of its rows comes first.
#[test]
fn a_forked_process_counts_for_what_it_became() {
    let row = |exec: u32, name: &str, second: u64| {
        let mut builder = Builder::new(key(START + second), 1);
        builder.cover(0, Coverage::SECOND);
        let process = process(7, 1, name, "");
        let id = ProcessId { exec, ..process.id };
        let process = builder.process(Process { id, ..process });
        builder.cpu(process, 0, 0, Cpu { ns: 5 });
        builder.build()
    };
    for (fork, exec) in [(0, 1), (1, 0)] {
        let mut segments = vec![row(0, "xargs", fork), row(1, "sleep", exec)];
        segments.sort_by_key(|segment| segment.key.start);
        let report = report_of(
            &segments,
            &Context {
                rows: 9,
                ..Context::default()
            },
        );
        let commands = report.processes.commands.iter();
        let mut counts: Vec<_> = commands
            .map(|it| (it.name.as_str(), it.processes))
            .collect();
        counts.sort_unstable();
        assert_eq!(counts, [("sleep", 1), ("xargs", 0)]);
    }
}

/// A server reads minutes, hours and days: the sums are the same, and it says how long a slot is.
#[test]
fn coarser_slots_have_the_same_sums() {
    let seconds: Vec<Segment> = (0..12).map(second).collect();
    let context = Context {
        rows: 1_000,
        ..Context::default()
    };
    let fine = report_of(&seconds, &context);
    let merged = Segment::merge(&seconds).unwrap();
    let coarse = [merged.clone(), merged.coarsen().unwrap()];
    for segment in coarse {
        let report = report_of(std::slice::from_ref(&segment), &context);
        assert_eq!(report.time.slot_seconds, segment.key.resolution.seconds());
        assert_eq!(report.cpu.time_ns, fine.cpu.time_ns);
        assert_eq!(report.files, fine.files);
        assert_eq!(report.network, fine.network);
        assert_eq!(report.losses, fine.losses);
        assert_eq!(report.processes.started, fine.processes.started);
        assert_eq!(report.processes.failures, fine.processes.failures);
        assert_eq!(report.processes.commands, fine.processes.commands);
        assert_eq!(report.memory.peak_bytes, fine.memory.peak_bytes);
        assert_eq!(report.container, fine.container);
    }
}

#[test]
fn nothing_known_is_no_zero_of_everything() {
    let context = Context {
        span: 100..160,
        rows: 10,
        ..Context::default()
    };
    let id = ContainerId::new("0123456789ab").unwrap();
    let report = Report::new(&id, &Default::default(), &context);
    assert_eq!((report.time.from, report.time.to), (100.0, 160.0));
    assert_eq!(report.time.gap_seconds, 60);
    assert_eq!(report.memory.peak_bytes, None);
    let text = render(&report, Format::Text);
    assert!(text.contains("nothing is known of 60 s of it"), "{text}");
}

fn files(sums: &ReportFileSums) -> [u64; 5] {
    [
        sums.read_bytes,
        sums.written_bytes,
        sums.reads,
        sums.writes,
        sums.opens,
    ]
}

fn network(sums: &NetworkSums) -> [u64; 6] {
    [
        sums.received_bytes,
        sums.sent_bytes,
        sums.receives,
        sums.sends,
        sums.connects,
        sums.failures,
    ]
}

fn processes(sums: &ProcessSums) -> Vec<u64> {
    let (files, network) = (files(&sums.files), network(&sums.network));
    let budget = sums.budget.clone().unwrap_or_default();
    let waits = budget.states().map(|(_, ns)| ns);
    [&[sums.cpu_ns], &files[..], &network[..], &waits[1..]].concat()
}

fn sum<const N: usize>(all: impl Iterator<Item = [u64; N]>) -> [u64; N] {
    all.fold([0; N], |sum, next| {
        std::array::from_fn(|index| sum[index] + next[index])
    })
}

proptest! {
    /// Lists are cut last: what they show and the rest are all there was, and each form of a report can
    /// be made of anything.
    #[test]
    fn rows_and_rest_are_all(segment in arbitrary::segment_of(key(START), 5), rows in 0..4_usize) {
        let context = Context { rows, ..Context::default() };
        let report = report_of(std::slice::from_ref(&segment), &context);
        let truth = sum(segment.file_io.iter().map(|cell| {
            let io = cell.value;
            [io.bytes_in, io.bytes_out, io.ops_in, io.ops_out, io.opens]
        }));
        prop_assert_eq!(files(&report.files.total), truth);
        let list = &report.files.by_file;
        prop_assert_eq!(sum(list.rows.iter().map(|row| files(&row.sums)).chain([files(&list.rest)])), truth);
        let truth = sum(segment.network_io.iter().map(|cell| {
            let io = cell.value;
            [io.bytes_in, io.bytes_out, io.ops_in, io.ops_out, io.connects, io.failures]
        }));
        prop_assert_eq!(network(&report.network.total), truth);
        let shown = report.network.rows.iter().map(|row| network(&row.sums));
        prop_assert_eq!(sum(shown.chain([network(&report.network.rest)])), truth);
        let cpu: u64 = segment.cpu.iter().map(|cell| cell.value.ns).sum();
        prop_assert_eq!(report.cpu.time_ns, cpu);
        let own = report.processes.commands.iter().map(|row| processes(&row.own));
        let all: Vec<Vec<u64>> = own.chain([processes(&report.processes.commands_rest)]).collect();
        prop_assert_eq!(all.iter().map(|sums| sums[0]).sum::<u64>(), cpu);
        prop_assert_eq!(all.iter().map(|sums| sums[1]).sum::<u64>(), report.files.total.read_bytes);
        let own = report.processes.rows.iter().map(|row| processes(&row.sums));
        let all: Vec<Vec<u64>> = own.chain([processes(&report.processes.rows_rest)]).collect();
        prop_assert_eq!(all.iter().map(|sums| sums[0]).sum::<u64>(), cpu);
        // Beyond what 64 bits hold sums are a bound.
        let waits = segment.waits.iter().flat_map(|cell| cell.value.columns());
        let waits = waits.map(|wait| wait.checked_mul(UNIT));
        let truth = waits.reduce(|sum, wait| sum?.checked_add(wait?)).flatten();
        if let Some(truth) = truth {
            let shown = all.iter().flat_map(|sums| &sums[12..]).sum::<u64>();
            prop_assert_eq!(shown, truth);
        }
        let shown: u64 = report.processes.failures.iter().map(|row| row.count).sum();
        prop_assert_eq!(shown + report.processes.failures_rest, report.processes.failed);
        for format in Format::ALL {
            render(&report, format);
        }
    }

    /// Numbers that nobody can have counted break nothing.
    #[test]
    fn any_segment_has_a_report(segment in arbitrary::segment(8)) {
        let report = report_of(std::slice::from_ref(&segment), &Context { rows: 3, ..Context::default() });
        for format in Format::ALL {
            render(&report, format);
        }
        serde_json::to_string(&report).unwrap();
    }
}
