use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::process::{Exit, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Segment, SourceId};

use super::Window;
use super::container::MAX_ENTRIES;
use super::sink::MAX_OPEN_EVENTS;
use crate::sink::{ContainerHandle, FileHandle, HANDLE_SECONDS, ProcessHandle, Sink};
use crate::time::SECOND;

const T: u64 = 1_000_000;

fn window() -> Window {
    Window::new(SourceId([1; 16]), T)
}

fn container(window: &mut Window, id: &str) -> ContainerHandle {
    window.container(&ContainerId::new(id).unwrap())
}

fn process(pid: u32, start: u64) -> Process {
    let id = ProcessId {
        pid,
        start,
        exec: 0,
    };
    Process::new(id, format!("p{pid}"))
}

fn file(path: &str) -> File {
    File {
        path: path.to_owned(),
        kind: FileKind::Regular,
    }
}

fn read(bytes_in: u64) -> FileIo {
    FileIo {
        bytes_in,
        ops_in: 1,
        ..FileIo::default()
    }
}

/// Ends the second `second` and gives its segments.
fn end(window: &mut Window, second: u64) -> Vec<Segment> {
    window.advance((second + 1) * SECOND);
    window.take_closed()
}

#[test]
fn calls_of_a_second_add_up() {
    let mut window = window();
    let c = container(&mut window, "c");
    let p = window.process(c, &process(7, 5));
    let f = window.file(c, &file("/a"));
    let n = window.connection(c, &Connection::other());
    let at = T * SECOND + 5;
    for _ in 0..2 {
        window.cpu(at, p, 1, 100);
        window.file_io(at, p, f, read(10));
        let sent = NetworkIo {
            bytes_out: 3,
            ..NetworkIo::default()
        };
        window.network_io(at, p, n, sent);
        window.total(at, c, Metric::CPU_USER, 50);
        window.total(at, c, Metric::TASKS, 4);
    }
    for rss in [5, 9, 2] {
        let memory = Memory {
            rss,
            ..Memory::default()
        };
        window.memory(at, p, memory);
    }
    window.event(at, c, EventKind::OOM_KILL, Some(p), "x");
    assert!(end(&mut window, T - 1).is_empty());
    let segments = end(&mut window, T);
    let [segment] = &segments[..] else {
        panic!("one segment, not {}", segments.len());
    };
    assert_eq!(
        (segment.key.start, segment.key.container.as_str()),
        (T, "c")
    );
    assert_eq!(segment.cpu[0].value.ns, 200);
    assert_eq!(segment.memory[0].value.rss, 9);
    assert_eq!(
        segment.file_io[0].value,
        FileIo {
            ops_in: 2,
            ..read(20)
        }
    );
    assert_eq!(segment.network_io[0].value.bytes_out, 6);
    let totals: Vec<_> = segment
        .totals
        .iter()
        .map(|t| (t.row.0, t.value.value))
        .collect();
    assert_eq!(totals, [(Metric::CPU_USER.0, 100), (Metric::TASKS.0, 4)]);
    assert_eq!(segment.events[0].process, Some(0));
    assert_eq!(segment.processes[0].name, "p7");
    assert!(!segment.coverage[0].is_gap());
    assert!(
        end(&mut window, T + 1).is_empty(),
        "nothing was counted in it"
    );
}

#[test]
fn waits_for_files_and_connections_are_in_their_rows() {
    let mut window = window();
    let c = container(&mut window, "c");
    let p = window.process(c, &process(7, 5));
    let (used, idle) = (
        window.file(c, &file("/used")),
        window.file(c, &file("/idle")),
    );
    let n = window.connection(c, &Connection::other());
    let at = T * SECOND + 5;
    window.file_io(at, p, used, read(10));
    for _ in 0..2 {
        window.file_wait(at, p, used, 1_250_000);
        window.connection_wait(at, p, n, 3_020_000);
    }
    window.file_wait(at, p, idle, 250_000_000);
    let segments = end(&mut window, T);
    let waited = |path: &str| {
        let row = segments[0].files.iter().position(|file| file.path == path);
        let cells = segments[0].file_io.iter();
        let mut cells = cells.filter(|cell| Some(cell.row.1 as usize) == row);
        let value = cells.next().map(|cell| cell.value);
        assert!(cells.next().is_none(), "one cell of {path}");
        value.unwrap_or_default()
    };
    let of_used = FileIo {
        waited: 25,
        ..read(10)
    };
    assert_eq!(waited("/used"), of_used);
    assert_eq!(waited("/idle").waited, 2_500);
    assert_eq!(segments[0].network_io[0].value.waited, 60);
    // Nothing was done that could be late.
    window.connection_wait(at, p, n, 70_000);
    let next = end(&mut window, T + 1);
    assert_eq!(next[0].network_io[0].value.waited, 1);
    assert!(next[0].losses.is_empty(), "{:?}", next[0].losses);
}

#[test]
fn each_second_is_another_segment() {
    let mut window = window();
    let c = container(&mut window, "c");
    let p = window.process(c, &process(7, 5));
    window.cpu((T + 1) * SECOND, p, 0, 2);
    window.cpu(T * SECOND + 1, p, 0, 1);
    window.cpu((T + 3) * SECOND, p, 0, 4);
    let segments = end(&mut window, T + 1);
    let found: Vec<_> = segments
        .iter()
        .map(|s| (s.key.start, s.cpu[0].value.ns))
        .collect();
    assert_eq!(found, [(T, 1), (T + 1, 2)]);
    window.close_all();
    assert_eq!(window.take_closed()[0].key.start, T + 3);
}

#[test]
fn a_late_count_is_counted_and_reported() {
    let mut window = window();
    let c = container(&mut window, "c");
    let p = window.process(c, &process(7, 5));
    end(&mut window, T);
    window.cpu(T * SECOND, p, 0, 5);
    window.event(T * SECOND, c, EventKind::OOM_KILL, None, "");
    let segment = &end(&mut window, T + 1)[0];
    assert_eq!((segment.key.start, segment.cpu[0].value.ns), (T + 1, 5));
    assert_eq!(segment.losses[0].row.0, Reason::LATE.0);
    assert_eq!(segment.events[0].at, (T + 1) * SECOND);
}

#[test]
fn facts_are_reported_when_new_or_changed_and_each_minute() {
    let mut window = window();
    let c = container(&mut window, "c");
    window.fact(c, "name", "web");
    let mut reported = Vec::new();
    for second in T..T + 70 {
        if second == T + 5 {
            window.fact(c, "name", "web");
        }
        if second == T + 7 {
            window.fact(c, "name", "www");
        }
        window.alive(second * SECOND, c);
        if !end(&mut window, second)[0].facts.is_empty() {
            reported.push(second);
        }
    }
    let minute = T.next_multiple_of(60);
    assert_eq!(reported, [T, T + 7, minute]);
}

#[test]
fn a_fact_after_the_end_is_reported() {
    let mut window = window();
    let c = container(&mut window, "c");
    window.fact(c, "runtime", "docker");
    window.alive(T * SECOND, c);
    assert_eq!(end(&mut window, T).len(), 1);
    assert!(end(&mut window, T + 1).is_empty());
    window.fact(c, "exit_code", "3");
    let segment = &end(&mut window, T + 2)[0];
    assert_eq!(segment.facts["exit_code"], "3");
    assert!(segment.coverage[0].is_gap());
    window.release_container(c);
    end(&mut window, T + 3);
    window.alive((T + 4) * SECOND, c);
    assert!(end(&mut window, T + 4).is_empty(), "its handle is stale");
}

#[test]
fn a_process_is_reported_when_it_starts_changes_and_ends() {
    let mut window = window();
    let c = container(&mut window, "c");
    window.alive(T * SECOND, c);
    let mut changing = process(7, T * SECOND + 1);
    window.process(c, &changing);
    let segment = &end(&mut window, T)[0];
    assert_eq!(segment.processes.len(), 1);
    assert_eq!(segment.totals[0].row.0, Metric::PROCESSES_STARTED.0);

    window.alive((T + 1) * SECOND, c);
    window.process(c, &changing);
    assert!(end(&mut window, T + 1)[0].processes.is_empty());

    window.alive((T + 2) * SECOND, c);
    changing.args = "a\0b".to_owned();
    window.process(c, &changing);
    assert_eq!(end(&mut window, T + 2)[0].processes[0].args, "a\0b");

    changing.end = (T + 3) * SECOND + 5;
    changing.exit = Some(Exit::Code(3));
    window.alive((T + 3) * SECOND, c);
    let p = window.process(c, &changing);
    window.release_process(p);
    assert_eq!(
        end(&mut window, T + 3)[0].processes[0].exit,
        Some(Exit::Code(3))
    );
    window.cpu((T + 4) * SECOND, p, 0, 1);
    assert!(end(&mut window, T + 4).is_empty());
}

#[test]
fn processes_that_live_within_one_second() {
    let mut window = window();
    let c = container(&mut window, "c");
    for pid in 1..=500 {
        let mut short = process(pid, T * SECOND + u64::from(pid));
        window.process(c, &short);
        short.id.exec = 1;
        short.end = short.id.start + 1_000_000;
        let p = window.process(c, &short);
        window.cpu(short.end, p, 0, 10);
        window.release_process(p);
    }
    let segment = &end(&mut window, T)[0];
    assert_eq!(
        segment.cpu.iter().map(|cell| cell.value.ns).sum::<u64>(),
        5_000
    );
    let started = segment
        .totals
        .iter()
        .find(|t| t.row.0 == Metric::PROCESSES_STARTED.0);
    assert_eq!(started.unwrap().value.value, 500);
}

#[test]
fn files_beyond_the_maximum_are_counted_as_others() {
    let mut window = window();
    let c = container(&mut window, "c");
    let p = window.process(c, &process(7, 5));
    let many = MAX_ENTRIES as u64 + 1_000;
    for n in 0..many {
        let f = window.file(c, &file(&format!("/f{n}")));
        window.file_io(T * SECOND, p, f, read(1));
    }
    assert!(window.files.len() <= MAX_ENTRIES + 1);
    let segment = &end(&mut window, T)[0];
    assert!(segment.files.len() <= 200);
    assert_eq!(
        segment
            .file_io
            .iter()
            .map(|cell| cell.value.bytes_in)
            .sum::<u64>(),
        many
    );
    for second in T + 1..T + HANDLE_SECONDS + 20 {
        end(&mut window, second);
    }
    assert_eq!(window.files.len(), 0);
    assert_ne!(window.file(c, &file("/f0")), FileHandle(0));
}

#[test]
fn a_loss_of_the_host_is_reported_by_all_containers() {
    let mut window = window();
    let (a, b) = (container(&mut window, "a"), container(&mut window, "b"));
    window.loss(
        T * SECOND,
        None,
        Reason::RING_FULL,
        Loss { count: 2, bytes: 0 },
    );
    assert!(!window.has_second(T), "nobody can report it");
    assert!(end(&mut window, T).is_empty());
    for c in [a, b] {
        window.alive((T + 1) * SECOND, c);
    }
    assert!(window.has_second(T + 1));
    let segments = end(&mut window, T + 1);
    assert_eq!(segments.len(), 2);
    assert!(
        segments
            .iter()
            .all(|segment| segment.losses[0].value.count == 2)
    );
    window.alive((T + 2) * SECOND, a);
    assert!(end(&mut window, T + 2)[0].losses.is_empty());
}

#[test]
fn a_loss_of_the_host_is_reported_once_by_a_container() {
    let mut window = window();
    let c = container(&mut window, "c");
    for second in [T, T + 1, T + 2] {
        window.alive(second * SECOND, c);
    }
    for second in [T, T + 1] {
        let loss = Loss { count: 2, bytes: 0 };
        window.loss(second * SECOND, None, Reason::RING_FULL, loss);
    }
    // Several seconds are closed at once: at the end, or if the loop was late.
    window.close_all();
    let segments = window.take_closed();
    let counts = segments.iter().map(|segment| {
        let losses = segment.losses.iter();
        losses.map(|cell| cell.value.count).sum::<u64>()
    });
    assert_eq!(counts.collect::<Vec<_>>(), [2, 2, 0]);
}

#[test]
fn a_storm_of_events_is_folded() {
    let mut window = window();
    let c = container(&mut window, "c");
    let all = MAX_OPEN_EVENTS as u64 + 500;
    for n in 0..all {
        let detail = n.to_string();
        window.event(
            T * SECOND + n,
            c,
            EventKind::CONNECTION_FAILED,
            None,
            &detail,
        );
    }
    assert_eq!(
        window.containers.get(c.0).unwrap().open[0].events.len(),
        MAX_OPEN_EVENTS
    );
    let segment = &end(&mut window, T)[0];
    let (folded, single): (Vec<_>, Vec<_>) = segment
        .events
        .iter()
        .partition(|event| event.kind == EventKind::FOLDED);
    let more: u64 = folded
        .iter()
        .map(|event| event.detail.parse::<u64>().unwrap())
        .sum();
    assert_eq!(single.len() as u64 + more, all);
}

#[test]
fn no_key_is_used_twice() {
    let mut window = window();
    let c = container(&mut window, "c");
    let mut keys = Vec::new();
    for second in [T, T + 1, T] {
        if second == T && !keys.is_empty() {
            window.restart(SourceId([2; 16]), T);
        }
        window.alive(second * SECOND, c);
        // Ended and found again before the second is over.
        window.release_container(c);
        assert_eq!(container(&mut window, "c"), c);
        window.alive(second * SECOND, c);
        keys.extend(
            end(&mut window, second)
                .into_iter()
                .map(|segment| segment.key),
        );
    }
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!((keys.len(), count), (3, 3));
}

#[test]
fn invalid_handles_do_nothing() {
    let mut window = window();
    let (c, p) = (ContainerHandle(99), ProcessHandle(99));
    window.fact(c, "a", "b");
    assert_eq!(window.process(c, &process(1, 1)), ProcessHandle(u32::MAX));
    window.cpu(T * SECOND, p, 0, 1);
    window.memory(T * SECOND, p, Memory::default());
    window.file_io(T * SECOND, p, FileHandle(1), read(1));
    window.event(T * SECOND, c, EventKind::OOM_KILL, Some(p), "");
    window.loss(T * SECOND, Some(c), Reason::LATE, Loss::default());
    window.release_process(p);
    window.release_container(c);
    assert!(end(&mut window, T).is_empty());
}

#[test]
fn absurd_times_are_counted() {
    let mut window = window();
    let c = container(&mut window, "c");
    let p = window.process(c, &process(7, u64::MAX));
    for at in [0, 1, u64::MAX, u64::MAX - SECOND, T * SECOND] {
        window.cpu(at, p, 0, 1);
    }
    for second in 0..1_000 {
        window.cpu((T + second) * SECOND, p, 0, 1);
    }
    assert!(window.containers.get(c.0).unwrap().open.len() <= super::MAX_OPEN_SECONDS);
    window.close_all();
    let ns: u64 = window
        .take_closed()
        .iter()
        .flat_map(|segment| &segment.cpu)
        .map(|cell| cell.value.ns)
        .sum();
    assert_eq!(ns, 1_005);
}

/// A second that is marked says so in each container, and only there.
#[test]
fn a_partial_second_is_marked() {
    let mut window = window();
    let handles = [container(&mut window, "a"), container(&mut window, "b")];
    let counts = |window: &mut Window, second: u64| -> Vec<u64> {
        for handle in handles {
            window.alive(second * SECOND, handle);
        }
        let segments = end(window, second);
        assert_eq!(segments.len(), 2);
        let losses = segments.iter().map(|segment| {
            let partial = |row: u32| row == Reason::PARTIAL.0;
            let cells = segment.losses.iter();
            cells
                .filter(|cell| partial(cell.row.0))
                .map(|cell| cell.value.count)
                .sum()
        });
        losses.collect()
    };
    window.mark_partial(T);
    window.mark_partial(T + 2);
    // Twice is once.
    window.mark_partial(T + 2);
    assert_eq!(counts(&mut window, T), [1, 1]);
    assert_eq!(counts(&mut window, T + 1), [0, 0]);
    assert_eq!(counts(&mut window, T + 2), [1, 1]);
    // The marks of a clock that was ahead are not those of its seconds when they come.
    window.mark_partial(T + 4);
    window.restart(SourceId([2; 16]), T + 3);
    assert_eq!(counts(&mut window, T + 3), [0, 0]);
    assert_eq!(counts(&mut window, T + 4), [0, 0]);
}

#[test]
fn only_a_running_container_is_found() {
    let mut window = window();
    let handle = container(&mut window, "c");
    let id = ContainerId::new("c").unwrap();
    assert_eq!(window.find_container(&id), Some(handle));
    window.release_container(handle);
    assert_eq!(window.find_container(&id), None);
    assert_eq!(window.find_container(&ContainerId::new("x").unwrap()), None);
}
