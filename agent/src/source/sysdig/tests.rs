use std::io::{Cursor, Write as _};

use bubble_common::segment::codec::Effort;
use bubble_common::segment::network::Role;
use bubble_common::segment::process::Exit;
use bubble_common::segment::{Segment, SourceId};

use proptest::prelude::*;

use super::{LINE, Syntax, Sysdig};
use crate::source::recording::input::Input;
use crate::source::recording::{Error, Position, Recording as _, Step};
use crate::window::Window;

/// A server that answers one request, and a shell that becomes a client, over two seconds.
const LINES: &str = include_str!("../../../tests/sysdig/web.txt");

/// The same in JSON.
fn json() -> Vec<&'static str> {
    include_str!("../../../tests/sysdig/web.jsonl")
        .lines()
        .collect()
}

/// All segments of a recording, what came of it, and how far it got.
fn read(
    content: impl Into<Vec<u8>>,
    syntax: Syntax,
) -> (Vec<Segment>, Result<(), Error>, Position) {
    let input = Input::new(Cursor::new(content.into()), None).unwrap();
    let mut recording = Sysdig::new(input, syntax, None);
    let mut window = Window::new(SourceId([1; 16]), 0);
    let result = loop {
        match recording.step(&mut window) {
            Ok(Step::More) => {}
            Ok(Step::End) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    window.close_all();
    (window.take_closed(), result, recording.position())
}

fn segments(content: impl Into<Vec<u8>>, syntax: Syntax) -> Vec<Segment> {
    let (segments, result, position) = read(content, syntax);
    result.unwrap();
    assert_eq!(position.skipped, 0);
    segments
}

fn whole() -> Segment {
    Segment::merge(&segments(LINES, Syntax::Text)).unwrap()
}

/// Rows of files and connections of a segment: process, thing, in, out, calls.
fn rows(segment: &Segment) -> Vec<(String, String, u64, u64, u64)> {
    let files = segment.file_io.iter().map(|cell| {
        let (thing, io) = (&segment.files[cell.row.1 as usize], cell.value);
        let calls = io.ops_in + io.ops_out;
        (
            cell.row.0,
            thing.path.clone(),
            io.bytes_in,
            io.bytes_out,
            calls,
        )
    });
    let peers = segment.network_io.iter().map(|cell| {
        let (thing, io) = (&segment.connections[cell.row.1 as usize], cell.value);
        let (peer, calls) = (thing.peer.to_string(), io.ops_in + io.ops_out);
        (cell.row.0, peer, io.bytes_in, io.bytes_out, calls)
    });
    files
        .chain(peers)
        .map(|(process, thing, bytes_in, bytes_out, calls)| {
            let name = segment.processes[process as usize].name.clone();
            (name, thing, bytes_in, bytes_out, calls)
        })
        .collect()
}

#[test]
fn bytes_belong_to_process_and_thing() {
    let whole = whole();
    let row = |process: &str, thing: &str, bytes_in, bytes_out, calls| {
        (
            process.to_owned(),
            thing.to_owned(),
            bytes_in,
            bytes_out,
            calls,
        )
    };
    let expected = [
        row("nginx", "/srv/a b", 512, 0, 1),
        row("sh", "pipe:[77]", 9, 0, 1),
        row("nginx", "10.0.0.9:4000", 33, 512, 2),
        row("wget", "10.0.0.3:443", 0, 10, 1),
    ];
    assert_eq!(rows(&whole), expected);
    let roles: Vec<Role> = whole.connections.iter().map(|of| of.role).collect();
    assert_eq!(roles, [Role::Client, Role::Server]);
    let connects = whole.network_io.iter().map(|cell| cell.value.connects);
    assert_eq!(connects.collect::<Vec<_>>(), [1, 1]);
    let opens: u64 = whole.file_io.iter().map(|cell| cell.value.opens).sum();
    assert_eq!(opens, 1);
}

#[test]
fn time_on_a_core_is_between_its_switches() {
    let whole = whole();
    let cells: Vec<_> = whole
        .cpu
        .iter()
        .map(|cell| (cell.row.1, cell.value.ns))
        .collect();
    assert_eq!(cells, [(0, 900)]);
    assert_eq!(whole.memory[0].value.rss, 310 * 1_024);
}

#[test]
fn processes_have_a_beginning_programs_and_an_end() {
    let whole = whole();
    let told: Vec<_> = whole
        .processes
        .iter()
        .map(|process| {
            let id = process.id;
            (
                id.pid,
                id.exec,
                process.name.as_str(),
                process.args.as_str(),
            )
        })
        .collect();
    let expected = [
        (100, 0, "nginx", ""),
        (200, 0, "sh", "sh\0-c.wget.x"),
        (200, 1, "wget", "/bin/wget\0x"),
    ];
    assert_eq!(told, expected);
    let [nginx, shell, wget] = &whole.processes[..] else {
        panic!("{told:?}");
    };
    assert!(nginx.id.start < 1_000_000_000_000_000_000);
    assert_eq!(wget.id.start, 1_000_000_001_093_443_821);
    assert_eq!((shell.end, shell.exit), (1_000_000_001_093_443_830, None));
    assert_eq!(wget.exit, Some(Exit::Signal(9)));
    assert_eq!((wget.uid, wget.parent, wget.container_pid), (33, 100, 7));
    let started = whole.totals.iter().map(|cell| cell.value.value);
    assert_eq!(started.sum::<u64>(), 1);
}

#[test]
fn json_and_text_are_the_same() {
    let expected = segments(LINES, Syntax::Text);
    let objects = json();
    let lines = objects.iter().map(|object| format!("{object}\n"));
    assert_eq!(segments(lines.collect::<String>(), Syntax::Json), expected);
    let array = format!("[\n{}\n]\n", objects.join(",\n"));
    assert_eq!(segments(array, Syntax::Json), expected);
    let one_line = format!("[{}]", objects.join(","));
    assert_eq!(segments(one_line, Syntax::Json), expected);
    // sysdig was interrupted.
    let open = format!("[{}", objects.join(",\n"));
    assert_eq!(segments(open, Syntax::Json), expected);
}

#[test]
fn gzip_in_many_members_is_read() {
    let mut compressed = Vec::new();
    for line in LINES.split_inclusive('\n') {
        let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        member.write_all(line.as_bytes()).unwrap();
        compressed.extend(member.finish().unwrap());
    }
    assert_eq!(
        segments(compressed, Syntax::Text),
        segments(LINES, Syntax::Text)
    );
}

#[test]
fn the_first_event_of_a_second_counts() {
    let mut lines = String::new();
    for second in 0..5 {
        for tick in 0..3 {
            lines.push_str(&format!(
                "1 {}.{tick} 0 web (0123456789ab) nginx (100:1) < read res=1 data=x fd=0(<f>/a) size=1 \n",
                1_000_000_000 + second
            ));
        }
    }
    let segments = segments(lines, Syntax::Text);
    let per_second: Vec<u64> = segments
        .iter()
        .flat_map(|segment| segment.file_io.iter().map(|cell| cell.value.bytes_in))
        .collect();
    assert_eq!(per_second, [3; 5]);
}

#[test]
fn a_quiet_second_is_no_gap_but_a_long_pause_is() {
    let line = |second: u64| {
        format!(
            "1 {second}.5 0 web (0123456789ab) nginx (100:1) < read res=1 data=x fd=0(<f>/a) size=1 \n"
        )
    };
    let covered = |seconds: &[u64]| {
        let lines: String = seconds.iter().map(|second| line(*second)).collect();
        let starts = segments(lines, Syntax::Text);
        starts
            .iter()
            .map(|segment| segment.key.start)
            .collect::<Vec<_>>()
    };
    assert_eq!(covered(&[10, 13]), [10, 11, 12, 13]);
    assert_eq!(covered(&[10, 500]), [10, 500]);
}

#[test]
fn what_is_no_event_is_passed_over() {
    let text = LINES.replace('\n', "\nnot an event\n\n");
    let (segments, result, position) = read(text, Syntax::Text);
    result.unwrap();
    assert_eq!(rows(&Segment::merge(&segments).unwrap()), rows(&whole()));
    assert_eq!((position.events, position.skipped), (26, 26));
    let mut lines = json().join("\n{\"a\": }\n{}\n");
    lines.push('\n');
    let (segments, result, position) = read(lines, Syntax::Json);
    result.unwrap();
    assert_eq!(rows(&Segment::merge(&segments).unwrap()), rows(&whole()));
    assert_eq!((position.events, position.skipped), (26, 50));
}

#[test]
fn a_line_without_end_is_passed_over() {
    let long = "x".repeat(LINE + 10);
    for (syntax, before) in [
        (Syntax::Text, format!("{LINES}{long}\n{LINES}")),
        (Syntax::Json, {
            let lines = json().join("\n");
            format!("{lines}\n{{\"a\":\"{long}\n{lines}\n")
        }),
    ] {
        let (_, result, position) = read(before, syntax);
        result.unwrap();
        assert_eq!((position.events, position.skipped), (52, 1));
    }
}

#[test]
fn a_cut_says_where() {
    let cut = LINES.len() - 30;
    let (segments, result, position) = read(&LINES[..cut], Syntax::Text);
    let line = LINES[..cut].rfind('\n').unwrap() + 1;
    assert!(matches!(result, Err(Error::Cut { at, .. }) if at == line as u64));
    assert_eq!(position.events, 25);
    assert_eq!(rows(&Segment::merge(&segments).unwrap()), rows(&whole()));
}

#[test]
fn something_else_is_refused() {
    for (content, syntax) in [
        ("hello\nworld\n", Syntax::Text),
        ("hello", Syntax::Text),
        ("{\"a\":1}\n", Syntax::Json),
        ("hello\n", Syntax::Json),
    ] {
        let (_, result, _) = read(content, syntax);
        assert!(matches!(result, Err(Error::Format(_))), "{content}");
    }
    let (segments, result, _) = read("", Syntax::Text);
    result.unwrap();
    assert!(segments.is_empty());
}

#[test]
fn the_host_is_shown_when_asked_for() {
    let input = Input::new(Cursor::new(LINES), None).unwrap();
    let host = bubble_common::segment::ContainerId::new("node7").unwrap();
    let mut recording = Sysdig::new(input, Syntax::Text, Some(host.clone()));
    let mut window = Window::new(SourceId([1; 16]), 0);
    while let Ok(Step::More) = recording.step(&mut window) {}
    window.close_all();
    let closed = window.take_closed();
    let read = closed
        .iter()
        .filter(|segment| segment.key.container == host);
    let read: u64 = read
        .flat_map(|segment| segment.file_io.iter().map(|cell| cell.value.bytes_in))
        .sum();
    assert_eq!(read, 5);
}

#[test]
fn any_cut_and_any_piece_of_input_is_taken() {
    // Byte by byte, as a slow pipe has it.
    struct Slow(Cursor<Vec<u8>>);
    impl std::io::Read for Slow {
        fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(&mut room[..1])
        }
    }
    for (content, syntax) in [
        (LINES.to_owned(), Syntax::Text),
        (json().join("\n"), Syntax::Json),
    ] {
        let input = Input::new(Slow(Cursor::new(content.into_bytes())), None).unwrap();
        let mut recording = Sysdig::new(input, syntax, None);
        let mut window = Window::new(SourceId([1; 16]), 0);
        while let Step::More = recording.step(&mut window).unwrap() {}
        window.close_all();
        assert_eq!(window.take_closed(), segments(LINES, Syntax::Text));
    }
}

proptest! {
    /// Whatever is written over what sysdig printed: it is read to an end.
    #[test]
    fn damage_is_never_more_than_an_error(
        damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..40_usize), 1..30),
        as_json: bool,
        in_json: bool,
    ) {
        let content = if in_json { include_str!("../../../tests/sysdig/web.jsonl") } else { LINES };
        let mut content = content.as_bytes().to_vec();
        for (place, byte, length) in damages {
            let begin = place.index(content.len());
            let end = (begin + length).min(content.len());
            content.splice(begin..end, [byte]);
            content.push(b'\n');
        }
        let syntax = if as_json { Syntax::Json } else { Syntax::Text };
        let (segments, _, position) = read(content, syntax);
        prop_assert!(position.events <= 60);
        for segment in segments {
            let bytes = segment.encode(Effort::Raw);
            prop_assert_eq!(Segment::decode(&bytes), Ok(segment));
        }
    }
}
