//! Golden files: bytes that were written once must be read for ever.
//!
//! Version N wrote `testdata/segment/vN/NAME.bin`, and `NAME.txt` has the content as text.
//!
//! - Files of every version are read, and give the content of their text.
//! - A file `raw-…` of the newest version is also written again, with the same bytes. Compressed
//!   files are not, as a newer zstd may compress better.
//! - If the encoder changes, but today's readers can read the new bytes, replace the raw files of
//!   the newest version.
//! - Otherwise add a version and a folder. Never change old folders.
//!
//! `BUBBLE_BLESS=1 cargo test -p bubble-common --test golden` writes the files of the newest version.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::cell::{Cell, Value};
use bubble_common::segment::codec::{DecodeError, Effort};
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Cpu, Exit, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::{KINDS, Waits};
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId, facts};
use bubble_testing::container::{Container, Size};

/// The example of docs/segment-format.md: a little of everything, over two seconds.
fn example() -> Segment {
    let key = Key {
        container: ContainerId::new("web@node7").expect("an id"),
        resolution: Resolution::Second,
        start: 1_790_000_000,
        source: SourceId(*b"0123456789abcdef"),
    };
    let mut builder = Builder::new(key, 2);
    builder.cover(0, Coverage::SECOND);
    builder.cover(1, Coverage::SECOND);
    builder.fact(facts::NAME, "web");
    let id = ProcessId {
        pid: 300,
        start: 1_789_999_999_500_000_000,
        exec: 1,
    };
    let shell = builder.process(Process {
        container_pid: 1,
        parent: 200,
        gid: Some(100),
        exe: "/bin/sh".to_owned(),
        args: "sh\0-c\0date".to_owned(),
        end: 1_790_000_001_000_000_000,
        exit: Some(Exit::Code(3)),
        ..Process::new(id, "sh")
    });
    let other = builder.process(Process::folded("(other)", 12));
    builder.cpu(shell, 0, 0, Cpu { ns: 1_000_000 });
    builder.cpu(shell, 0, 1, Cpu { ns: 1_000_064 });
    builder.cpu(other, 2, 1, Cpu { ns: 500 });
    builder.memory(
        shell,
        0,
        Memory {
            vm: 8_192,
            rss: 4_096,
            swap: 0,
            private: 1_024,
        },
    );
    add_example_io(&mut builder, shell);
    builder.total(Metric::CPU_USER, 0, 900_000);
    builder.total(Metric::CPU_USER, 1, 900_000);
    builder.loss(Reason::MAP_FULL, 1, Loss { count: 2, bytes: 0 });
    builder.event(Event {
        at: 1_790_000_000_000_000_300,
        kind: EventKind::CONNECTION_FAILED,
        process: Some(shell),
        detail: "10.0.0.9:81".to_owned(),
    });
    builder.build()
}

/// Two files and a connection, used by `process`.
fn add_example_io(builder: &mut Builder, process: u32) {
    let log = builder.file(File {
        path: "/var/log/a".to_owned(),
        kind: FileKind::Regular,
    });
    let lock = builder.file(File {
        path: "/var/lock".to_owned(),
        kind: FileKind::Regular,
    });
    builder.file_io(
        process,
        log,
        0,
        FileIo {
            bytes_out: 100,
            ops_out: 1,
            ..FileIo::default()
        },
    );
    builder.file_io(
        process,
        lock,
        1,
        FileIo {
            opens: 1,
            ..FileIo::default()
        },
    );
    let peer = builder.connection(Connection {
        protocol: Protocol::Tcp,
        role: Role::Client,
        local: Address::Ip(IpAddr::from([10, 0, 0, 2]), 40_000),
        peer: Address::Ip(IpAddr::from([10, 0, 0, 3]), 80),
    });
    builder.network_io(
        process,
        peer,
        1,
        NetworkIo {
            bytes_in: 7,
            ops_in: 1,
            connects: 1,
            ..NetworkIo::default()
        },
    );
    for (slot, core) in [(0, 12), (1, 0)] {
        builder.waits(
            process,
            slot,
            Waits {
                core,
                events: 10_000,
                ..Waits::default()
            },
        );
    }
}

/// Every kind of address, exit and file, and the limits of ranges.
fn corners() -> Segment {
    let key = Key {
        container: ContainerId::new("0123456789ab").expect("an id"),
        resolution: Resolution::Day,
        start: 86_400 * 20_000,
        source: SourceId([0xff; 16]),
    };
    let mut builder = Builder::new(key, 33);
    builder.cover(0, Coverage(1));
    builder.cover(32, Coverage((1 << 24) - 1));
    let exits = [
        None,
        Some(Exit::Code(0)),
        Some(Exit::Code(255)),
        Some(Exit::Signal(9)),
    ];
    for (pid, exit) in (1..).zip(exits) {
        let id = ProcessId {
            pid: pid * 1_000_000_000,
            start: u64::from(pid),
            exec: pid,
        };
        let process = builder.process(Process {
            uid: u32::MAX,
            gid: [None, Some(0), Some(u32::MAX)][pid as usize % 3],
            end: if exit.is_some() { 1 << 60 } else { 0 },
            exit,
            ..Process::new(id, "schön")
        });
        let ends = [0, 1, u64::MAX];
        for (slot, &ns) in (0..).zip(&ends) {
            builder.cpu(process, u32::MAX, slot * 16, Cpu { ns });
        }
        for (n, kind) in (0..).zip((0..8).filter_map(FileKind::from_u8)) {
            let file = builder.file(File {
                path: format!("/{n}/é"),
                kind,
            });
            builder.file_io(
                process,
                file,
                n,
                FileIo {
                    bytes_in: u64::MAX,
                    opens: 1 << n,
                    mapped_pages: n.into(),
                    waited: u64::from(n) << 60,
                    ..FileIo::default()
                },
            );
        }
    }
    add_corner_connections(&mut builder);
    builder.total(Metric(u32::MAX), 7, u64::MAX);
    builder.waits(0, 3, Waits::of_columns([u64::MAX; KINDS]));
    builder.build()
}

/// Connections of process 0: every protocol, role and kind of address.
fn add_corner_connections(builder: &mut Builder) {
    let addresses = [
        Address::None,
        Address::Ip(IpAddr::from([255, 0, 255, 0]), u16::MAX),
        Address::Ip(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]), 0),
        Address::Path("@abstract".to_owned()),
    ];
    let protocols = (0..8).filter_map(Protocol::from_u8);
    for ((protocol, role), address) in protocols
        .zip((0..3).filter_map(Role::from_u8).cycle())
        .zip(addresses.iter().cycle())
    {
        let connection = Connection {
            protocol,
            role,
            local: address.clone(),
            peer: address.clone(),
        };
        let connection = builder.connection(connection);
        builder.network_io(
            0,
            connection,
            5,
            NetworkIo {
                failures: 1,
                waited: u64::MAX,
                ..NetworkIo::default()
            },
        );
    }
}

fn segments() -> Vec<(&'static str, Effort, Segment)> {
    let seconds = |seed, size, slots| Container::new(seed, 1_790_000_000, size).seconds(slots);
    let coarse = seconds(4, Size::QUIET, 60).coarsen().expect("seconds");
    vec![
        ("raw-example", Effort::Raw, example()),
        ("raw-corners", Effort::Raw, corners()),
        ("raw-empty", Effort::Raw, Segment::empty(example().key, 0)),
        ("raw-busy-second", Effort::Raw, seconds(1, Size::BUSY, 1)),
        (
            "raw-quiet-seconds",
            Effort::Raw,
            seconds(2, Size::QUIET, 12),
        ),
        ("raw-minutes", Effort::Raw, coarse),
        ("fast-busy-second", Effort::Fast, seconds(1, Size::BUSY, 1)),
        (
            "small-busy-seconds",
            Effort::Small,
            seconds(3, Size::BUSY, 6),
        ),
    ]
}

fn batch() -> Batch {
    let mut container = Container::new(5, 1_790_000_000, Size::QUIET);
    Batch {
        source: SourceId([7; 16]),
        agent: AgentReport {
            host: "node7".to_owned(),
            version: "0.1.0".to_owned(),
            kernel: "6.12.48".to_owned(),
            hooks: "syscall".to_owned(),
            missing: vec!["no block I/O: the controller is off".to_owned()],
            sent_at: 1_790_000_002_100_000_000,
            cores: 4,
            memory: 16 << 30,
            cpu_ns: 12_345_678,
            rss: 20 << 20,
            kernel_ns: 1_234_567,
            spooled: 1,
            dropped: 0,
        },
        segments: vec![example(), container.seconds(1), container.seconds(1)],
    }
}

fn put_cells<V: Value + std::fmt::Debug>(text: &mut String, name: &str, cells: &[Cell<V>]) {
    for cell in cells {
        let _ = writeln!(
            text,
            "{name} {},{} slot {}: {:?}",
            cell.row.0, cell.row.1, cell.slot, cell.value
        );
    }
}

/// The content of a segment, a line for each row.
fn describe(segment: &Segment) -> String {
    let mut text = format!("{:?}\n", segment.key);
    for (slot, coverage) in segment.coverage.iter().enumerate() {
        let _ = writeln!(text, "slot {slot}: {:#x}", coverage.0);
    }
    for (name, value) in &segment.facts {
        let _ = writeln!(text, "fact {name:?}: {value:?}");
    }
    for (index, row) in segment.processes.iter().enumerate() {
        let _ = writeln!(text, "process {index}: {row:?}");
    }
    for (index, row) in segment.files.iter().enumerate() {
        let _ = writeln!(text, "file {index}: {row:?}");
    }
    for (index, row) in segment.connections.iter().enumerate() {
        let _ = writeln!(text, "connection {index}: {row:?}");
    }
    for event in &segment.events {
        let _ = writeln!(text, "{event:?}");
    }
    put_cells(&mut text, "total", &segment.totals);
    put_cells(&mut text, "loss", &segment.losses);
    put_cells(&mut text, "cpu", &segment.cpu);
    put_cells(&mut text, "memory", &segment.memory);
    put_cells(&mut text, "file", &segment.file_io);
    put_cells(&mut text, "network", &segment.network_io);
    put_cells(&mut text, "waits", &segment.waits);
    text
}

/// The text as version 1 wrote it: without what it does not know.
fn as_version_1(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let line = line.replace(", gid: None", "");
        let line = line.replace(", mapped_pages: 0", "");
        let line = line.replace(", waited: 0", "");
        let Some((line, private)) = line.split_once(", private: ") else {
            let _ = writeln!(lines, "{line}");
            continue;
        };
        // All of the resident set may be private.
        let rss = line
            .split("rss: ")
            .nth(1)
            .and_then(|it| it.split(',').next());
        assert_eq!(Some(private), rss.map(|rss| format!("{rss} }}")).as_deref());
        let _ = writeln!(lines, "{line} }}");
    }
    lines
}

fn describe_batch(batch: &Batch) -> String {
    let segments: String = batch.segments.iter().map(describe).collect();
    format!("{}\n{:#?}\n{segments}", batch.source, batch.agent)
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(path)
}

fn bless(path: &Path, bytes: &[u8], text: &str) {
    if std::env::var_os("BUBBLE_BLESS").is_some() {
        fs::write(path.with_extension("bin"), bytes).expect("a writable folder testdata");
        fs::write(path.with_extension("txt"), text).expect("a writable folder testdata");
    }
}

/// The golden files of `kind` in all versions, without extension.
fn golden_files(kind: &str) -> Vec<PathBuf> {
    let entries = |path: &Path| {
        let entries = fs::read_dir(path).expect("testdata exists");
        entries
            .map(|entry| entry.expect("a readable folder").path())
            .collect::<Vec<_>>()
    };
    let mut files: Vec<PathBuf> = entries(&folder(kind))
        .iter()
        .flat_map(|version| entries(version))
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
    files.iter().map(|path| path.with_extension("")).collect()
}

#[test]
fn segments_of_every_version_are_read() {
    for (name, effort, segment) in segments() {
        bless(
            &folder("segment/v2").join(name),
            &segment.encode(effort),
            &describe(&segment),
        );
    }
    let files = golden_files("segment");
    assert!(
        files.len() >= segments().len(),
        "files are missing: {files:?}"
    );
    for path in files {
        let bytes = fs::read(path.with_extension("bin")).expect("a readable file");
        let text =
            fs::read_to_string(path.with_extension("txt")).expect("a .txt file for each .bin file");
        let segment =
            Segment::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut described = describe(&segment);
        if bytes[4] == 1 {
            described = as_version_1(&described);
        }
        assert_eq!(described, text, "{}", path.display());
    }
}

#[test]
fn the_newest_version_is_written_unchanged() {
    for (name, effort, segment) in segments() {
        let path = folder("segment/v2").join(name).with_extension("bin");
        let bytes = fs::read(&path).expect("a readable file");
        assert_eq!(Segment::decode(&bytes).as_ref(), Ok(&segment), "{name}");
        if effort == Effort::Raw {
            assert!(
                segment.encode(effort) == bytes,
                "{name} is written differently: see the rule above"
            );
        }
    }
}

#[test]
fn batches_of_every_version_are_read() {
    // A batch's segments have versions of their own. `example` has those of version 1.
    bless(
        &folder("batch/v1/segments-of-version-2"),
        &batch().encode(),
        &describe_batch(&batch()),
    );
    let files = golden_files("batch");
    assert!(!files.is_empty());
    for path in files {
        let bytes = fs::read(path.with_extension("bin")).expect("a readable file");
        let text =
            fs::read_to_string(path.with_extension("txt")).expect("a .txt file for each .bin file");
        let batch =
            Batch::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut described = describe_batch(&batch);
        if path.ends_with("example") {
            described = as_version_1(&described);
        }
        assert_eq!(described, text, "{}", path.display());
    }
}

#[test]
fn unknown_versions_are_refused() {
    let mut segment = example().encode(Effort::Fast);
    let mut batch = batch().encode();
    for found in [0, 3, 255] {
        segment[4] = found;
        batch[4] = found;
        let refused = |known| DecodeError::UnsupportedVersion { found, known };
        assert_eq!(Segment::decode(&segment), Err(refused(2)));
        assert_eq!(Segment::decode_head(&segment), Err(refused(2)));
        assert_eq!(Batch::decode(&batch), Err(refused(1)));
    }
}

/// The example in the document is a golden file. The blocks marked `hex` are its bytes, with
/// explanations after two spaces.
#[test]
fn the_example_in_the_document_is_the_golden_file() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/segment-format.md");
    let document = fs::read_to_string(document).expect("a readable document");
    let blocks = document.split("```hex\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or("").lines());
    let bytes: Vec<u8> = lines
        .flat_map(|line| line.split("  ").next().unwrap_or("").split_whitespace())
        .map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits"))
        .collect();
    let golden = fs::read(folder("segment/v2/raw-example.bin")).expect("a readable file");
    assert_eq!(bytes, golden);
}
