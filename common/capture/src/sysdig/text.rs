//! A line of `sysdig -pc -t a`:
//! `NUMBER SECONDS.NANOSECONDS CORE CONTAINER (ID) NAME (THREAD:THREAD) > CALL ARGUMENTS`.

use memchr::{memchr, memmem};

use super::line::{Line, Misprint, leading, thread_number, time, unsigned};

/// Longest `comm` of the kernel, in bytes.
const MAX_COMM: usize = 15;

/// The event of a line (without its end), if it is one.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (_, rest) = unsigned(line)?;
    let rest = rest.strip_prefix(b" ")?;
    let end = memchr(b' ', rest)?;
    let at = time(&rest[..end])?;
    let (core, rest) = unsigned(&rest[end + 1..])?;
    let rest = rest.strip_prefix(b" ")?;
    let end = memmem::find(rest, b" (")?;
    let container_name = known(&rest[..end]);
    let rest = &rest[end + 2..];
    let end = memchr(b')', rest)?;
    let container = known(&rest[..end]);
    let rest = rest[end + 1..].strip_prefix(b" ")?;
    let (name, threads) = split_name(rest)?;
    let Threads {
        thread,
        is_of_recorder,
        container_thread,
        enter,
        rest,
    } = threads;
    let end = memchr(b' ', rest).unwrap_or(rest.len());
    Some(Line {
        at,
        core: u32::try_from(core).ok()?,
        container,
        container_name,
        name: known(name),
        thread,
        container_thread,
        is_of_recorder,
        enter,
        call: &rest[..end],
        arguments: rest.get(end + 1..).unwrap_or_default(),
    })
    .filter(|line| !line.call.is_empty())
}

/// How a line that is no event was printed, if it looks like one of another command.
pub(super) fn misprint(line: &[u8]) -> Option<Misprint> {
    let (_, rest) = unsigned(line)?;
    let rest = rest.strip_prefix(b" ")?;
    let end = memchr(b' ', rest)?;
    let (number, after) = unsigned(&rest[..end])?;
    if number < 24 && after.first() == Some(&b':') {
        return Some(Misprint::TimeOfDay);
    }
    time(&rest[..end])?;
    let (_core, rest) = unsigned(&rest[end + 1..])?;
    // `NAME (THREAD) > CALL`
    let begin = memmem::find(rest, b" (")?;
    let (_, rest) = leading(&rest[begin + 2..])?;
    let is_event = rest.starts_with(b") > ") || rest.starts_with(b") < ");
    is_event.then_some(Misprint::NoContainer)
}

/// The part between a thread's name and the call, and the rest.
struct Threads<'a> {
    thread: u32,
    is_of_recorder: bool,
    container_thread: u32,
    enter: bool,
    rest: &'a [u8],
}

/// Splits a thread's name, which may have spaces and brackets, from its ids. A name has at
/// most [`MAX_COMM`] bytes, and one that looks like ids is followed by the true ones: the last
/// match within that reach counts. Captures before 2015 may have longer names: then the first.
fn split_name(text: &[u8]) -> Option<(&[u8], Threads<'_>)> {
    let split = |at: usize| Some((&text[..at], threads(&text[at + 2..])?));
    let reach = &text[..text.len().min(MAX_COMM + 2)];
    memmem::rfind_iter(reach, b" (")
        .find_map(split)
        .or_else(|| memmem::find_iter(text, b" (").find_map(split))
}

fn threads(text: &[u8]) -> Option<Threads<'_>> {
    let (thread, rest) = leading(text)?;
    let (thread, is_thread) = thread_number(thread)?;
    let rest = rest.strip_prefix(b":")?;
    let (container_thread, rest) = match rest.strip_prefix(b"<NA>") {
        Some(rest) => (0, rest),
        None => leading(rest)?,
    };
    let rest = rest.strip_prefix(b") ")?;
    let (enter, rest) = match rest {
        [b'>', b' ', rest @ ..] => (true, rest),
        [b'<', b' ', rest @ ..] => (false, rest),
        _ => return None,
    };
    Some(Threads {
        thread,
        is_of_recorder: !is_thread,
        container_thread: thread_number(container_thread)?.0,
        enter,
        rest,
    })
}

/// A text; empty where sysdig wrote its placeholder.
fn known(text: &[u8]) -> &[u8] {
    if text == b"<NA>" { &[] } else { text }
}

#[cfg(test)]
mod tests {
    use super::{misprint, parse};
    use crate::sysdig::line::{Line, Misprint};

    #[test]
    fn a_line_is_an_event() {
        let line = b"150 1506127469.905096436 1 lb_1 (59fd49aa4072) haproxy (13969:9) > sendto fd=1(<4t>a->b) size=131 ";
        let expected = Line {
            at: 1_506_127_469_905_096_436,
            core: 1,
            container: b"59fd49aa4072",
            container_name: b"lb_1",
            name: b"haproxy",
            thread: 13_969,
            container_thread: 9,
            is_of_recorder: false,
            enter: true,
            call: b"sendto",
            arguments: b"fd=1(<4t>a->b) size=131 ",
        };
        assert_eq!(parse(line), Some(expected));
    }

    #[test]
    fn a_placeholder_is_empty() {
        let line = b"3 1.5 3 <NA> (<NA>) <NA> (0:<NA>) > switch next=2987(sysdig) ";
        let line = parse(line).unwrap();
        assert_eq!((line.container, line.name), (&b""[..], &b""[..]));
        assert_eq!((line.thread, line.container_thread), (0, 0));
    }

    #[test]
    fn names_may_have_brackets_and_look_like_ids() {
        for (name, rest) in [
            ("runc:[0:PARENT]", "> read fd=1 "),
            ("(sd-pam)", "> exit "),
            ("a (1:1) < read", "> write data=q (5:6) < x "),
            ("", "< clone res=0 "),
            ("the name of a program", "< open fd=1 "),
        ] {
            let line = format!("1 1.5 0 c (0123) {name} (7:8) {rest}");
            let line = parse(line.as_bytes()).unwrap();
            assert_eq!((line.name, line.thread), (name.as_bytes(), 7), "{name}");
        }
    }

    #[test]
    fn an_event_of_the_recorder_is_of_no_thread() {
        let line = b"1 1506127469.5 0 web (0123) container:0123 (-1:-2) > container json={} ";
        let line = parse(line).unwrap();
        assert!(line.is_of_recorder);
        assert_eq!((line.call, line.thread), (&b"container"[..], 0));
    }

    #[test]
    fn output_of_other_commands_is_recognised() {
        for (line, how) in [
            (
                "5 00:44:29.905096436 1 lb_1 (59fd49aa4072) haproxy (9:1) > read ",
                Misprint::TimeOfDay,
            ),
            (
                "5 00:44:29.905096436 1 haproxy (13969) > read ",
                Misprint::TimeOfDay,
            ),
            (
                "5 1506127469.905096436 1 haproxy (13969) > read ",
                Misprint::NoContainer,
            ),
            (
                "5 1506127469.905096436 1 haproxy (13969) < read res=1 ",
                Misprint::NoContainer,
            ),
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
            assert_eq!(misprint(line.as_bytes()), Some(how), "{line}");
        }
        for line in [
            "",
            "hello",
            "5 6",
            "1 99:00",
            "1 1506127469.9 host",
            "7 x (1) > y",
        ] {
            assert_eq!(misprint(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn other_lines_are_no_event() {
        for line in [
            "",
            "1",
            "1 2",
            "x 1.5 0 c (0123) n (7:8) > read ",
            "1 1.5 0 c (0123) n (7:8) > ",
            "1 1.5 0 c (0123) n (7:8) = read ",
            "1 1.5 0 c (0123 n 7:8 > read ",
            "1 1.5 99999999999 c (0123) n (7:8) > read ",
            "1 00:44:29.5 0 c (0123) n (7:8) > read ",
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
