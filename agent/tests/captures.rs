//! Real captures, read as a whole, and compared with the tables of an independent reader.
//!
//! Our own recording is in the folder `captures` beside this file, with the programs that ran
//! (`containers.workload.sh`) and their output (`containers.truth.txt`). Foreign captures are in
//! `captures` in the folder that `BUBBLE_CAPTURES` names (`../shared` beside the project, by
//! default). `differences.tsv` has the rows that differ on purpose, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use bubble_agent::analyse::tables::Tables;
use bubble_agent::source::recording::input::Input;
use bubble_agent::source::recording::{Error, Position, Recording as _, Step};
use bubble_agent::source::scap::{Capture, Options};
use bubble_agent::window::Window;
use bubble_common::segment::event::EventKind;
use bubble_common::segment::loss::Reason;
use bubble_common::segment::process::Exit;
use bubble_common::segment::{Segment, SourceId, facts};
use bubble_testing::captures;

/// The folder of foreign captures, if it exists.
fn foreign_captures() -> Option<PathBuf> {
    Some(captures::folder_if_present()?.join("captures"))
}

/// The results of a capture.
struct Read {
    tables: Tables<Window>,
    segments: Vec<Segment>,
    end: Result<(), Error>,
    position: Position,
}

fn read(input: Input, host: bool) -> Read {
    let options = Options {
        host,
        ..Options::default()
    };
    let mut capture = Capture::new(input, options);
    let mut tables = Tables::new(Window::new(SourceId([1; 16]), 0));
    let mut segments = Vec::new();
    let end = loop {
        let step = capture.step(&mut tables);
        segments.extend(tables.inner.take_closed());
        match step {
            Ok(Step::More) => {}
            Ok(Step::End) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    tables.inner.close_all();
    segments.extend(tables.inner.take_closed());
    Read {
        tables,
        segments,
        end,
        position: capture.position(),
    }
}

fn read_file(path: &Path, host: bool) -> Read {
    read(Input::open(path).unwrap(), host)
}

fn own(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captures")
        .join(file)
}

fn rows(table: &str) -> BTreeSet<String> {
    table.lines().skip(1).map(str::to_owned).collect()
}

/// Compares with the rows of an independent reader, without those that differ on purpose.
fn check_io(capture: &str, ours: &str, expected: &Path) {
    let mut expected = rows(&fs::read_to_string(expected).unwrap());
    let differences = fs::read_to_string(own("differences.tsv")).unwrap();
    for line in differences.lines().skip(1) {
        let (of, rest) = line.split_once('\t').unwrap();
        let (side, rest) = rest.split_once('\t').unwrap();
        let (row, why) = rest.rsplit_once('\t').unwrap();
        assert!(!why.is_empty(), "{row}: no reason");
        if of == capture {
            let new = match side {
                "theirs" => expected.remove(row),
                "ours" => expected.insert(row.to_owned()),
                other => panic!("{other}"),
            };
            assert!(new, "there is no such difference: {row}");
        }
    }
    check_rows(capture, ours, &expected);
}

fn check_rows(capture: &str, ours: &str, expected: &BTreeSet<String>) {
    let ours = rows(ours);
    let missing: Vec<_> = expected.difference(&ours).collect();
    let surplus: Vec<_> = ours.difference(expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{capture}: missing {missing:#?}, surplus {surplus:#?}"
    );
    assert!(!ours.is_empty());
}

#[test]
fn our_own_recording_is_as_expected_row_by_row() {
    let read = read_file(&own("containers.scap"), false);
    read.end.unwrap();
    assert_eq!((read.position.events, read.position.skipped), (317_459, 0));
    check_io("containers", &read.tables.io(), &own("containers.io.tsv"));
    let expected = fs::read_to_string(own("containers.cpu.tsv")).unwrap();
    check_rows("containers", &read.tables.cpu(), &rows(&expected));
}

/// Compares with `containers.truth.txt`, the output of the programs.
#[test]
fn our_own_recording_holds_what_ran() {
    let read = read_file(&own("containers.scap"), false);
    let of = |id: &str| {
        let segments = read.segments.iter();
        let segments = segments.filter(|segment| segment.key.container.as_str() == id);
        segments.cloned().collect::<Vec<_>>()
    };
    let seconds = |ns: u64| ns as f64 / 1e9;
    let cpu = |segments: &[Segment]| {
        let cells = segments.iter().flat_map(|segment| &segment.cpu);
        seconds(cells.map(|cell| cell.value.ns).sum())
    };
    // `times` of the loop that did nothing else: 1.560 s user, 0.010 s system; starting it took the rest.
    let busy = of("5961688fa2f4");
    assert!((1.57..1.60).contains(&cpu(&busy)), "{}", cpu(&busy));
    // 200 programs that ended with code 0.
    let processes = read.tables.processes();
    let forked: Vec<&str> = processes
        .lines()
        .filter(|line| line.starts_with("747c0cc2bf96\t") && line.contains("\tbusybox\t"))
        .collect();
    assert_eq!(forked.len(), 200);
    assert!(forked.iter().all(|line| line.ends_with("\t0")));
    assert!(forked[0].contains("\t/bin/busybox true\t"), "{}", forked[0]);
    // The server was killed; the others ended by themselves.
    for (id, code) in [
        ("5961688fa2f4", "0"),
        ("747c0cc2bf96", "0"),
        ("77f3d775bd8b", "0"),
        ("cf50638aa8a6", "0"),
        ("f0d650580070", "137"),
    ] {
        let segments = of(id);
        let events = segments.iter().flat_map(|segment| &segment.events);
        let kinds: Vec<_> = events
            .filter(|event| event.kind != EventKind::CONNECTION_FAILED)
            .map(|event| (event.kind, &*event.detail))
            .collect();
        assert_eq!(
            kinds,
            [
                (EventKind::CONTAINER_START, ""),
                (EventKind::CONTAINER_END, code)
            ],
            "{id}"
        );
        // A segment has only the facts that are new.
        let known = segments.iter().flat_map(|segment| &segment.facts);
        let known: BTreeMap<_, _> = known.collect();
        assert_eq!(known[&facts::EXIT_CODE.to_owned()], code);
        assert_eq!(known[&facts::HOOKS.to_owned()], "capture");
        let exits = segments.iter().flat_map(|segment| &segment.processes);
        let first = exits.filter(|process| process.container_pid == 1);
        let exit = first.filter_map(|process| process.exit).next_back();
        assert_eq!(
            exit,
            Some(match code {
                "137" => Exit::Signal(9),
                _ => Exit::Code(0),
            })
        );
    }
}

/// Segments and tables have the same sums, no second is missing, and nothing came late.
#[test]
fn segments_and_tables_come_from_the_same_reading() {
    let read = read_file(&own("containers.scap"), false);
    let sum = |table: &str| -> u64 {
        let last = table.lines().skip(1).map(|line| line.rsplit('\t').next());
        last.map(|cell| cell.unwrap().parse::<u64>().unwrap()).sum()
    };
    let cells = read.segments.iter().flat_map(|segment| &segment.cpu);
    let ns: u64 = cells.map(|cell| cell.value.ns).sum();
    assert_eq!(ns, sum(&read.tables.cpu()) + sum(&read.tables.last_cpu()));
    let files = read.segments.iter().flat_map(|segment| &segment.file_io);
    let files: u64 = files
        .map(|cell| cell.value.ops_in + cell.value.ops_out)
        .sum();
    let network = read.segments.iter().flat_map(|segment| &segment.network_io);
    let network: u64 = network
        .map(|cell| cell.value.ops_in + cell.value.ops_out)
        .sum();
    assert_eq!(files + network, sum(&read.tables.io()));
    for segment in &read.segments {
        let late = segment
            .losses
            .iter()
            .find(|cell| cell.row.0 == Reason::LATE.0);
        assert_eq!(late, None, "{:?}", segment.key);
    }
    let of_server = |segment: &&Segment| segment.key.container.as_str() == "f0d650580070";
    let mut seconds: Vec<u64> = read
        .segments
        .iter()
        .filter(of_server)
        .map(|segment| segment.key.start)
        .collect();
    let whole = *seconds.first().unwrap()..=*seconds.last().unwrap();
    seconds.dedup();
    assert_eq!(seconds, whole.collect::<Vec<_>>());
}

#[test]
fn foreign_captures_are_as_expected_row_by_row() {
    let Some(folder) = foreign_captures() else {
        return;
    };
    for capture in ["502error", "run_as_user_0"] {
        let read = read_file(&folder.join(format!("{capture}.scap")), false);
        read.end.unwrap();
        let expected = folder.join(format!("expected/{capture}.io.tsv"));
        check_io(capture, &read.tables.io(), &expected);
    }
}

#[test]
fn containers_have_the_names_in_events() {
    let Some(folder) = foreign_captures() else {
        return;
    };
    let read = read_file(&folder.join("502error.scap"), false);
    let named: BTreeSet<_> = read
        .segments
        .iter()
        .filter_map(|segment| Some((segment.facts.get("name")?, segment.facts.get("image")?)))
        .collect();
    let named: Vec<_> = named.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, ["example2_lb_1", "example2_web_1"]);
}

/// Captures with comment blocks, without containers or without events are read to their end.
#[test]
fn odd_captures_are_read() {
    let Some(folder) = foreign_captures() else {
        return;
    };
    for (capture, events) in [("options", 1_536), ("sample", 572), ("empty", 80)] {
        let read = read_file(&folder.join(format!("{capture}.scap")), true);
        read.end.unwrap();
        assert_eq!(
            (read.position.events, read.position.skipped),
            (events, 0),
            "{capture}"
        );
    }
}

/// One capture in every older form. Lists before version 4 lack the container of a process and
/// its number there: its first fork has both.
#[test]
fn every_older_form_gives_the_same() {
    let Some(folder) = foreign_captures() else {
        return;
    };
    let folder = folder.join("rewritten");
    let whole = read_file(&folder.join("pl9.scap"), false);
    for form in [
        "pl1",
        "pl2",
        "pl2_evf1_nolink",
        "pl3",
        "pl3int_ev1",
        "pl4",
        "pl5",
        "pl6",
        "pl7",
        "pl8",
        "pl9_evf2",
        "pl9_large",
    ] {
        let read = read_file(&folder.join(format!("{form}.scap")), false);
        read.end.unwrap();
        assert_eq!(read.position.events, 4_143, "{form}");
        assert_eq!(read.tables.io(), whole.tables.io(), "{form}");
        assert_eq!(read.tables.cpu(), whole.tables.cpu(), "{form}");
    }
}

#[test]
fn captures_in_one_file_are_all_read() {
    let Some(folder) = foreign_captures() else {
        return;
    };
    let folder = folder.join("rewritten");
    let once = read_file(&folder.join("pl9.scap"), false);
    let twice: BTreeSet<String> = once
        .tables
        .io()
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.rsplitn(3, '\t').collect();
            let double = |cell: &str| 2 * cell.parse::<u64>().unwrap();
            format!("{}\t{}\t{}", cells[2], double(cells[1]), double(cells[0]))
        })
        .collect();
    for form in ["concat", "concat_gz"] {
        let read = read_file(&folder.join(format!("{form}.scap")), false);
        read.end.unwrap();
        check_rows(form, &read.tables.io(), &twice);
    }
}

/// The error says where the cut was.
#[test]
fn events_before_a_cut_are_read() {
    let Some(folder) = foreign_captures() else {
        return;
    };
    let folder = folder.join("rewritten");
    for (form, events, at) in [("trunc", 4_142, 434_848), ("trunc_gz", 3_778, 411_207)] {
        let read = read_file(&folder.join(format!("{form}.scap")), false);
        assert!(
            matches!(read.end, Err(Error::Truncated { at: place, .. }) if place == at),
            "{form}: {:?}",
            read.end
        );
        assert_eq!(read.position.events, events, "{form}");
        // The containers did nothing after the cut.
        let expected = folder.join("../expected/run_as_user_0.io.tsv");
        check_io(form, &read.tables.io(), &expected);
    }
}

/// A capture that is cut anywhere is read up to there, without a panic.
#[test]
fn a_capture_may_end_anywhere() {
    let whole = fs::read(own("containers.scap")).unwrap();
    let mut before = 0;
    for length in [1_000, 9_999, 99_999, 199_998] {
        let cut = whole[..length].to_vec();
        let read = read(Input::new(Cursor::new(cut), None).unwrap(), false);
        assert!(matches!(read.end, Err(Error::Truncated { .. })));
        assert!(read.position.events >= before);
        before = read.position.events;
    }
    assert!(before > 10_000);
}

#[test]
fn other_files_are_no_captures() {
    let no_captures: [&[u8]; 5] = [
        b"",
        b"{\"evt.num\":1}",
        b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        // A valid block of another kind than a section.
        b"\x01\x02\0\0\x0c\0\0\0\x0c\0\0\0",
        // A section of a big-endian machine.
        b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x1a\x2b\x3c\x4d\0\x01\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0",
    ];
    for bytes in no_captures {
        let input = Input::new(Cursor::new(bytes), None).unwrap();
        let end = read(input, false).end;
        assert!(matches!(end, Err(Error::Format(_))), "{bytes:?}: {end:?}");
    }
}
