use std::io::{Cursor, Write as _};

use bubble_common::segment::codec::Effort;
use bubble_common::segment::network::Role;
use bubble_common::segment::process::Exit;
use bubble_common::segment::{Segment, SourceId};
use proptest::prelude::*;

use super::{MAX_LINE, Syntax, Sysdig};
use crate::recording::input::Input;
use crate::recording::{Error, Position, Recording as _, Step};
use crate::window::Window;

/// A server that answers one request, and a shell that becomes a client, over two seconds.
const LINES: &str = include_str!("../../../../agent/tests/sysdig/web.txt");

/// The same in JSON.
fn json() -> Vec<&'static str> {
    include_str!("../../../../agent/tests/sysdig/web.jsonl")
        .lines()
        .collect()
}

/// All segments of a recording, its result and its position.
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
fn bytes_belong_to_process_and_resource() {
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
    let found: Vec<_> = whole
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
    assert_eq!(found, expected);
    let [nginx, shell, wget] = &whole.processes[..] else {
        panic!("{found:?}");
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

/// Lines of a process, each with its time in ns after [`T`].
fn lines(events: &[(u64, u32, &str)]) -> String {
    let line = |(at, thread, rest): &(u64, u32, &str)| {
        let (second, ns) = (T + at / 1_000_000_000, at % 1_000_000_000);
        match thread {
            0 => format!("1 {second}.{ns} 0 <NA> (<NA>) <NA> (0:<NA>) {rest} \n"),
            thread => format!("1 {second}.{ns} 0 web (0123456789ab) dns ({thread}:7) {rest} \n"),
        }
    };
    events.iter().map(line).collect()
}

/// A second, for [`lines`].
const T: u64 = 1_000_000_000;

fn merged(lines: String) -> Segment {
    Segment::merge(&segments(lines, Syntax::Text)).unwrap()
}

fn lost(segment: &Segment) -> Vec<(u32, u64)> {
    let losses = segment.losses.iter();
    losses.map(|cell| (cell.row.0, cell.value.count)).collect()
}

#[test]
fn who_spoke_first_is_the_client_of_datagrams() {
    let client = "10.0.0.2:5000";
    for (begin, received, role, peer) in [
        // A client that does not connect, and one that the recording does not see made.
        ("socket", true, Role::Client, "10.0.0.9:53"),
        ("", true, Role::Client, "10.0.0.9:53"),
        // Servers: a bound socket that is spoken to, seen made or not.
        ("bind", false, Role::Server, client),
        ("", false, Role::Server, client),
    ] {
        let mut events = Vec::new();
        if !begin.is_empty() {
            events.push((1, 200, "> socket domain=2(AF_INET) type=2 proto=0"));
            events.push((2, 200, "< socket fd=3(<4>)"));
        }
        if begin == "bind" {
            events.push((3, 200, "> bind fd=3(<4>)"));
            events.push((4, 200, "< bind res=0 addr=0.0.0.0:53"));
        }
        let question = "tuple=10.0.0.2:5000->10.0.0.9:53";
        let answer = "tuple=10.0.0.9:53->10.0.0.2:5000";
        let (asks, hears) = match received {
            true => (
                format!("> sendto fd=3(<4u>) size=30 {question}"),
                format!("< recvfrom res=148 data=.. {answer}"),
            ),
            false => (
                format!("> sendto fd=3(<4u>) size=30 {answer}"),
                format!("< recvfrom res=148 data=.. {question}"),
            ),
        };
        let send = [(10, 200, &*asks), (11, 200, "< sendto res=30 data=..")];
        let receive = [
            (12, 200, "> recvfrom fd=3(<4u>) size=512"),
            (13, 200, &*hears),
        ];
        let order = if received {
            [send, receive]
        } else {
            [receive, send]
        };
        events.extend(order.concat());
        let segment = merged(lines(&events));
        let io: Vec<_> = rows(&segment)
            .into_iter()
            .map(|row| (row.1, row.2, row.3))
            .collect();
        assert_eq!(io, [(peer.to_owned(), 148, 30)], "{begin} {role:?}");
        assert_eq!(segment.connections[0].role, role, "{begin}");
    }
}

#[test]
fn a_disconnect_is_no_connection() {
    let segment = merged(lines(&[
        (1, 200, "> socket domain=10(AF_INET6) type=2 proto=0"),
        (2, 200, "< socket fd=3(<6>)"),
        (3, 200, "> connect fd=3(<6>) addr=NULL"),
        (4, 200, "< connect res=0 tuple=:::0->:::0"),
        (5, 200, "> connect fd=3(<6>) addr=172.66.0.96:80"),
        (
            6,
            200,
            "< connect res=0 tuple=::ffff:172.17.0.3:35012->:::80",
        ),
    ]));
    let found: Vec<_> = segment
        .connections
        .iter()
        .map(|of| of.peer.to_string())
        .collect();
    assert_eq!(found, ["172.66.0.96:80"]);
    let connects = segment.network_io.iter().map(|cell| cell.value.connects);
    assert_eq!(connects.sum::<u64>(), 1);
}

#[test]
fn a_thread_that_never_yields_is_charged_each_second() {
    let second = 1_000_000_000;
    let mut events = vec![
        (0, 200, "> futex"),
        (1, 200, "> switch next=0"),
        (second / 2, 0, "> switch next=200(dns)"),
    ];
    events.extend((1..=3).map(|at| (at * second + 5, 300, "> futex")));
    let cpu = |events: &[(u64, u32, &str)]| -> Vec<u64> {
        let segments = segments(lines(events), Syntax::Text);
        let cells = segments
            .iter()
            .map(|of| of.cpu.iter().map(|cell| cell.value.ns).sum());
        cells.filter(|ns| *ns > 0).collect()
    };
    assert_eq!(cpu(&events), [second / 2, second, second, 5]);
    // A filter has removed the idle core: the time is charged when the thread leaves the core.
    events[2] = (second / 2, 300, "> switch next=200(dns)");
    events.push((3 * second + 7, 200, "> switch next=0"));
    assert_eq!(cpu(&events), [second / 2, second, second, 7]);
}

#[test]
fn values_that_cannot_be_are_told() {
    let second = 1_000_000_000;
    let hour = 3_600 * second;
    let mut events = vec![
        (hour, 0, "> switch next=200(dns)"),
        (hour + 100, 200, "> switch next=0"),
        (50, 0, "> switch next=200(dns)"),
        (hour + 300, 200, "> switch next=0"),
        (
            hour + 400,
            200,
            "< read res=4611686018427387904 data=x fd=0(<f>/a) size=1",
        ),
    ];
    let segment = merged(lines(&events));
    let ns: u64 = segment.cpu.iter().map(|cell| cell.value.ns).sum();
    assert_eq!((ns, segment.file_io.len()), (100, 0));
    assert_eq!(lost(&segment), [(7, 2)]);
    // Memory that no machine has.
    let size = "< brk res=1 vm_size=9007199254740993 vm_rss=9007199254740992 vm_swap=0";
    let segment = merged(lines(&[(1, 200, size)]));
    assert_eq!((segment.memory.len(), lost(&segment)), (0, vec![(7, 1)]));
    // A time far ahead is passed over, and the lines after it are not late.
    events[2] = (40 * 24 * hour, 0, "> switch next=200(dns)");
    let (segments, _, position) = read(lines(&events), Syntax::Text);
    assert_eq!((position.events, position.skipped), (4, 1));
    assert!(segments.iter().all(|of| of.key.start < T + 4_000));
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
    assert_eq!(
        covered(&[T + 10, T + 13]),
        [10, 11, 12, 13].map(|second| T + second)
    );
    assert_eq!(covered(&[T + 10, T + 500]), [T + 10, T + 500]);
}

#[test]
fn other_lines_are_skipped() {
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
fn a_line_without_end_is_skipped() {
    let long = "x".repeat(MAX_LINE + 10);
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
    assert!(matches!(result, Err(Error::Truncated { at, .. }) if at == line as u64));
    assert_eq!(position.events, 25);
    assert_eq!(rows(&Segment::merge(&segments).unwrap()), rows(&whole()));
}

#[test]
fn other_formats_are_refused() {
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
fn pieces_may_be_cut_anywhere() {
    // Byte by byte, as a slow pipe has it.
    struct Slow(Cursor<Vec<u8>>);
    impl std::io::Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(&mut buffer[..1])
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
    /// Damaged output is read to an end.
    #[test]
    fn damage_is_never_more_than_an_error(
        damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..40_usize), 1..30),
        as_json: bool,
        in_json: bool,
    ) {
        let content = if in_json { include_str!("../../../../agent/tests/sysdig/web.jsonl") } else { LINES };
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
