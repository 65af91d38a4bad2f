//! A line of `sysdig -pc -t a`:
//! `NUMBER SECONDS.NANOSECONDS CORE CONTAINER (ID) NAME (THREAD:THREAD) > CALL ARGUMENTS`.

use memchr::{memchr, memmem};

use super::line::{Line, time, unsigned};

/// Longest `comm` of the kernel, in bytes.
const COMM: usize = 15;

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
        enter,
        call: &rest[..end],
        arguments: rest.get(end + 1..).unwrap_or_default(),
    })
    .filter(|line| !line.call.is_empty())
}

/// What is between a thread's name and the call.
struct Threads<'a> {
    thread: u32,
    container_thread: u32,
    enter: bool,
    rest: &'a [u8],
}

/// Splits a thread's name, which may have spaces and brackets, from its ids. A name has at
/// most [`COMM`] bytes, and one that looks like ids is followed by the true ones: so the last
/// place within that reach is it. In captures before 2015 a name may be longer: the first one then.
fn split_name(text: &[u8]) -> Option<(&[u8], Threads<'_>)> {
    let split = |at: usize| Some((&text[..at], threads(&text[at + 2..])?));
    let reach = &text[..text.len().min(COMM + 2)];
    memmem::rfind_iter(reach, b" (")
        .find_map(split)
        .or_else(|| memmem::find_iter(text, b" (").find_map(split))
}

fn threads(text: &[u8]) -> Option<Threads<'_>> {
    let (thread, rest) = unsigned(text)?;
    let rest = rest.strip_prefix(b":")?;
    let (container_thread, rest) = match rest.strip_prefix(b"<NA>") {
        Some(rest) => (0, rest),
        None => unsigned(rest)?,
    };
    let rest = rest.strip_prefix(b") ")?;
    let (enter, rest) = match rest {
        [b'>', b' ', rest @ ..] => (true, rest),
        [b'<', b' ', rest @ ..] => (false, rest),
        _ => return None,
    };
    Some(Threads {
        thread: u32::try_from(thread).ok()?,
        container_thread: u32::try_from(container_thread).ok()?,
        enter,
        rest,
    })
}

/// What sysdig writes where it does not know is nothing.
fn known(text: &[u8]) -> &[u8] {
    if text == b"<NA>" { &[] } else { text }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::source::sysdig::line::Line;

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
            enter: true,
            call: b"sendto",
            arguments: b"fd=1(<4t>a->b) size=131 ",
        };
        assert_eq!(parse(line), Some(expected));
    }

    #[test]
    fn what_sysdig_does_not_know_is_empty() {
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
    fn what_is_no_event_is_none() {
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
