//! Bytes that were written once must be read for ever.
//!
//! `testdata/segment/vN/NAME.bin` was written by version N, and `NAME.txt` says
//! what is in it. The rule: files of every version are read, and give what their
//! text says; a file named `raw-…` of the newest version is also written, and is
//! the same to the byte. (Packed ones are only read: a newer zstd may pack
//! better.) An encoder that writes other bytes, which today's readers would read,
//! may replace the raw files of the newest version; whatever they would not
//! read needs a new version and a new folder, and old folders are never touched.
//!
//! `BUBBLE_BLESS=1 cargo test -p bubble-common --test golden` writes those of the newest version.

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
use bubble_common::segment::testing::{Container, Size};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId, facts};

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
        },
    );
    let log = builder.file(File {
        path: "/var/log/a".to_owned(),
        kind: FileKind::Regular,
    });
    let lock = builder.file(File {
        path: "/var/lock".to_owned(),
        kind: FileKind::Regular,
    });
    builder.file_io(
        shell,
        log,
        0,
        FileIo {
            bytes_out: 100,
            ops_out: 1,
            ..FileIo::default()
        },
    );
    builder.file_io(
        shell,
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
        shell,
        peer,
        1,
        NetworkIo {
            bytes_in: 7,
            ops_in: 1,
            connects: 1,
            ..NetworkIo::default()
        },
    );
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

/// Every kind of address, exit and kind there is, and the ends of ranges.
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
                    ..FileIo::default()
                },
            );
        }
    }
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
                ..NetworkIo::default()
            },
        );
    }
    builder.total(Metric(u32::MAX), 7, u64::MAX);
    builder.build()
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

/// What is in a segment, a line each.
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
    text
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
        fs::write(path.with_extension("bin"), bytes).expect("testdata can be written");
        fs::write(path.with_extension("txt"), text).expect("testdata can be written");
    }
}

/// The names of the files of all versions of `kind`, without extension.
fn all(kind: &str) -> Vec<PathBuf> {
    let entries = |path: &Path| {
        let entries = fs::read_dir(path).expect("testdata is there");
        entries
            .map(|entry| entry.expect("it can be read").path())
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
            &folder("segment/v1").join(name),
            &segment.encode(effort),
            &describe(&segment),
        );
    }
    let files = all("segment");
    assert!(
        files.len() >= segments().len(),
        "files are missing: {files:?}"
    );
    for path in files {
        let bytes = fs::read(path.with_extension("bin")).expect("it is there");
        let text = fs::read_to_string(path.with_extension("txt")).expect("each has a text");
        let segment =
            Segment::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(describe(&segment), text, "{}", path.display());
    }
}

#[test]
fn the_newest_version_is_written_as_it_was() {
    for (name, effort, segment) in segments() {
        let path = folder("segment/v1").join(name).with_extension("bin");
        let bytes = fs::read(&path).expect("it is there");
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
    bless(
        &folder("batch/v1/example"),
        &batch().encode(),
        &describe_batch(&batch()),
    );
    let files = all("batch");
    assert!(!files.is_empty());
    for path in files {
        let bytes = fs::read(path.with_extension("bin")).expect("it is there");
        let text = fs::read_to_string(path.with_extension("txt")).expect("each has a text");
        let batch =
            Batch::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(describe_batch(&batch), text, "{}", path.display());
    }
}

#[test]
fn later_versions_are_refused_by_number() {
    let mut segment = example().encode(Effort::Fast);
    let mut batch = batch().encode();
    for version in [0, 2, 255] {
        segment[4] = version;
        batch[4] = version;
        let refused = DecodeError::UnsupportedVersion {
            found: version,
            known: 1,
        };
        assert_eq!(Segment::decode(&segment), Err(refused.clone()));
        assert_eq!(Segment::decode_head(&segment), Err(refused.clone()));
        assert_eq!(Batch::decode(&batch), Err(refused));
    }
}

/// The document's example is a golden file: its blocks marked `hex`, one after
/// the other, are its bytes (what stands behind two spaces explains them).
#[test]
fn the_documents_example_is_the_golden_one() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/segment-format.md");
    let document = fs::read_to_string(document).expect("the document is there");
    let blocks = document.split("```hex\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or("").lines());
    let bytes: Vec<u8> = lines
        .flat_map(|line| line.split("  ").next().unwrap_or("").split_whitespace())
        .map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits"))
        .collect();
    let golden = fs::read(folder("segment/v1/raw-example.bin")).expect("it is there");
    assert_eq!(bytes, golden);
}
