//! One line of sysdig's output, of either syntax: an event, as sysdig saw it.
//!
//! A line borrows its input. Fields that sysdig did not know are empty or 0. The arguments stay
//! one text, as only those of a few events are read.

use memchr::memmem;

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Line<'a> {
    /// Time: ns since the Unix epoch.
    pub(super) at: u64,
    /// The core.
    pub(super) core: u32,
    /// The container's id: `host` outside containers; empty if sysdig did not know it.
    pub(super) container: &'a [u8],
    /// The container's name.
    pub(super) container_name: &'a [u8],
    /// The thread's `comm`.
    pub(super) name: &'a [u8],
    /// The thread's id on the host; 0 is an idle core.
    pub(super) thread: u32,
    /// The thread's id inside the container.
    pub(super) container_thread: u32,
    /// It is no event of a thread: the recorder wrote it, at a time of its own.
    pub(super) is_of_recorder: bool,
    /// It is the beginning of the call (`>`), not its end (`<`).
    pub(super) enter: bool,
    /// The call, or another kind of event.
    pub(super) call: &'a [u8],
    /// Its arguments: `name=value name=value `.
    pub(super) arguments: &'a [u8],
}

/// A property of output that was not printed as `sysdig -pc -j` or `-pc -t a` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misprint {
    /// Times begin with the recording (`-t r`) or with another event (`-t d`, `-t D`).
    RelativeTime,
    /// Times have no day (`-t h`, the default).
    TimeOfDay,
    /// There is no container (without `-pc`).
    NoContainer,
}

/// Earliest time that can be one, in ns since the Unix epoch: 2001-09-09. sysdig is from 2014.
pub(super) const MIN_TIME: u64 = 1_000_000_000 * crate::time::SECOND;

/// The value of the argument `key=`, from its first byte to the end of the line: the end of a
/// value depends on its type.
///
/// The first match counts. Matches after `data=` do not: it is untrusted text that was read or
/// written, and may hold anything.
pub(super) fn value<'a>(arguments: &'a [u8], key: &str) -> Option<&'a [u8]> {
    if let Some(value) = after_key(arguments, key) {
        return Some(value);
    }
    let trusted = match memmem::find(arguments, b" data=") {
        Some(end) => &arguments[..end],
        None => arguments,
    };
    find_key(trusted, key).map(|at| &arguments[at..])
}

/// As [`value`], for the arguments that come after `data=`: the last match counts.
pub(super) fn value_after_data<'a>(arguments: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut rest = arguments;
    let mut found = None;
    while let Some(at) = find_key(rest, key) {
        rest = &rest[at..];
        found = Some(rest);
    }
    found.or_else(|| after_key(arguments, key))
}

fn after_key<'a>(text: &'a [u8], key: &str) -> Option<&'a [u8]> {
    text.strip_prefix(key.as_bytes())?.strip_prefix(b"=")
}

/// The index of the value after the first ` key=`.
fn find_key(text: &[u8], key: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memmem::find(&text[from..], key.as_bytes()) {
        let begin = from + at;
        let end = begin + key.len();
        if begin > 0 && text[begin - 1] == b' ' && text.get(end) == Some(&b'=') {
            return Some(end + 1);
        }
        from = end;
    }
    None
}

/// The argument `key` as a number: the leading digits of its value.
pub(super) fn number(arguments: &[u8], key: &str) -> Option<i64> {
    leading(value(arguments, key)?).map(|(number, _)| number)
}

/// The argument `key` as a text, which may have spaces.
pub(super) fn text<'a>(arguments: &'a [u8], key: &str) -> Option<&'a [u8]> {
    value(arguments, key).map(up_to_next)
}

/// The part of `value` before the next ` word=`, or the end of the line.
pub(super) fn up_to_next(value: &[u8]) -> &[u8] {
    let mut spaces = memchr::memchr_iter(b' ', value);
    let end = spaces.find(|space| is_argument(&value[space + 1..]));
    &value[..end.unwrap_or(value.len())]
}

/// Whether `rest` is the end of the line or another argument, `word=…`.
pub(super) fn is_argument(rest: &[u8]) -> bool {
    let word = rest
        .iter()
        .take_while(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        .count();
    rest.is_empty() || (word > 0 && rest.get(word) == Some(&b'='))
}

/// The leading number of `text`, and the rest.
pub(super) fn leading(text: &[u8]) -> Option<(i64, &[u8])> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (number, rest) = unsigned(digits)?;
    let number = i64::try_from(number).ok()?;
    Some((
        if digits.len() < text.len() {
            -number
        } else {
            number
        },
        rest,
    ))
}

/// A thread's number, and whether it is one: the recorder's own events have a negative one.
pub(super) fn thread_number(number: i64) -> Option<(u32, bool)> {
    match u32::try_from(number) {
        Ok(number) => Some((number, true)),
        Err(_) => (number < 0).then_some((0, false)),
    }
}

/// The leading number of `text`, without a sign, and the rest.
pub(super) fn unsigned(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    let mut count = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        count += 1;
    }
    (count > 0).then(|| (number, &text[count..]))
}

/// A time as sysdig prints it: whole seconds, a point, and nanoseconds *without* leading zeros
/// (sysdig 0.29.3 writes `1562711472.93443820` for .093443820), or nanoseconds alone.
pub(super) fn time(text: &[u8]) -> Option<u64> {
    let (number, rest) = unsigned(text)?;
    match rest.split_first() {
        None => Some(number),
        Some((b'.', fraction)) => {
            let (nanoseconds, rest) = unsigned(fraction)?;
            if !rest.is_empty() || nanoseconds >= crate::time::SECOND {
                return None;
            }
            number
                .checked_mul(crate::time::SECOND)?
                .checked_add(nanoseconds)
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{leading, number, text, time, up_to_next, value_after_data};

    #[test]
    fn a_time_has_nanoseconds_without_leading_zeros() {
        assert_eq!(
            time(b"1562711472.93443820"),
            Some(1_562_711_472_093_443_820)
        );
        assert_eq!(
            time(b"1506127469900617765"),
            Some(1_506_127_469_900_617_765)
        );
        for wrong in ["", "1.", "1.1000000000", "00:44:29.900617765", "1.5x", "-1"] {
            assert_eq!(time(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn arguments_are_found_by_name() {
        let line = b"res=-2(ENOENT) exe=a b args=x. tid=7(q w) data=res=5 tid=8 tuple=1->2 ";
        assert_eq!(number(line, "res"), Some(-2));
        assert_eq!(text(line, "exe"), Some(&b"a b"[..]));
        assert_eq!(number(line, "tid"), Some(7));
        assert_eq!(number(line, "id"), None);
        assert_eq!(text(line, "args"), Some(&b"x."[..]));
        let tuple = value_after_data(line, "tuple").map(up_to_next);
        assert_eq!(tuple, Some(&b"1->2"[..]));
        // Data is not searched.
        assert_eq!(number(b"fd=1 data=x res=5 ", "res"), None);
    }

    #[test]
    fn a_number_that_is_too_long_is_no_number() {
        assert_eq!(leading(b"99999999999999999999"), None);
        assert_eq!(leading(b"-12(EAGAIN)"), Some((-12, &b"(EAGAIN)"[..])));
        assert_eq!(leading(b"-"), None);
    }
}
