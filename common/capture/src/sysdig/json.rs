//! An object of `sysdig -pc -j`: one an event, a line each or in one array.
//!
//! Scanned by hand: the objects are flat, a dozen fields count, and strings need no copy. A
//! general parser would do several times the work. Nested values, which sysdig does not write,
//! are skipped.

use memchr::memchr2;

use super::line::{Line, Misprint, leading, thread_number, time};

/// Deepest nesting of a skipped value.
const MAX_DEPTH: u32 = 32;

/// The result of scanning the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan<'a> {
    /// An object of this many bytes, and the event in it, if it is one.
    Object(usize, Option<Line<'a>>),
    /// An object of this many bytes: an event, but not as `-pc` prints it.
    Misprint(usize, Misprint),
    /// The beginning of an object.
    Incomplete,
    /// No object of JSON.
    Invalid,
}

/// A string or another value, as it is written.
#[derive(Debug, Clone, Copy, Default)]
struct Value<'a> {
    bytes: &'a [u8],
    escaped: bool,
}

/// The fields that count.
#[derive(Debug, Default)]
struct Fields<'a> {
    time: Value<'a>,
    core: Value<'a>,
    container: Value<'a>,
    has_container: bool,
    container_name: Value<'a>,
    name: Value<'a>,
    thread: Value<'a>,
    container_thread: Value<'a>,
    direction: Value<'a>,
    call: Value<'a>,
    arguments: Value<'a>,
}

/// Why scanning ends early.
enum Stop {
    Incomplete,
    Invalid,
}

/// Scans the object at the beginning of `data`. Strings with escapes are put into `scratch`.
pub(super) fn scan<'a>(data: &'a [u8], scratch: &'a mut Vec<u8>) -> Scan<'a> {
    let mut scanner = Scanner { data, at: 0 };
    match scanner.object() {
        Ok(fields) => {
            let has_container = fields.has_container;
            match fields.line(scratch) {
                Some(_) if !has_container => Scan::Misprint(scanner.at, Misprint::NoContainer),
                line => Scan::Object(scanner.at, line),
            }
        }
        Err(Stop::Incomplete) => Scan::Incomplete,
        Err(Stop::Invalid) => Scan::Invalid,
    }
}

struct Scanner<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn object(&mut self) -> Result<Fields<'a>, Stop> {
        let mut fields = Fields::default();
        self.expect(b'{')?;
        if self.skip_space()? == b'}' {
            self.at += 1;
            return Ok(fields);
        }
        loop {
            self.skip_space()?;
            let key = self.string()?;
            self.skip_space()?;
            self.expect(b':')?;
            let value = match self.skip_space()? {
                b'"' => self.string()?,
                b'{' | b'[' => self.nested()?,
                _ => self.bare()?,
            };
            fields.set(key.bytes, value);
            match self.skip_space()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(fields);
                }
                _ => return Err(Stop::Invalid),
            }
        }
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.data.get(self.at).copied().ok_or(Stop::Incomplete)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Stop> {
        if self.peek()? != wanted {
            return Err(Stop::Invalid);
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte after white space.
    fn skip_space(&mut self) -> Result<u8, Stop> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    fn string(&mut self) -> Result<Value<'a>, Stop> {
        self.expect(b'"')?;
        let begin = self.at;
        let mut escaped = false;
        loop {
            let rest = self.data.get(self.at..).unwrap_or_default();
            self.at += memchr2(b'"', b'\\', rest).ok_or(Stop::Incomplete)?;
            if self.data[self.at] == b'"' {
                break;
            }
            escaped = true;
            self.at += 2;
        }
        let bytes = &self.data[begin..self.at];
        self.at += 1;
        Ok(Value { bytes, escaped })
    }

    /// A number, `true`, `false` or `null`.
    fn bare(&mut self) -> Result<Value<'a>, Stop> {
        let rest = &self.data[self.at..];
        let end =
            |byte: &u8| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.' | b'E');
        let length = rest.iter().position(end).ok_or(Stop::Incomplete)?;
        if length == 0 {
            return Err(Stop::Invalid);
        }
        self.at += length;
        let bytes = &rest[..length];
        Ok(Value {
            bytes: if bytes == b"null" { &[] } else { bytes },
            escaped: false,
        })
    }

    fn nested(&mut self) -> Result<Value<'a>, Stop> {
        let mut depth = 0;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(Value::default());
            }
            if depth > MAX_DEPTH {
                return Err(Stop::Invalid);
            }
        }
    }
}

impl<'a> Fields<'a> {
    fn set(&mut self, key: &[u8], value: Value<'a>) {
        let field = match key {
            b"evt.outputtime" | b"evt.rawtime" => &mut self.time,
            b"evt.cpu" => &mut self.core,
            b"container.id" => {
                self.has_container = true;
                &mut self.container
            }
            b"container.name" => &mut self.container_name,
            b"proc.name" => &mut self.name,
            b"thread.tid" => &mut self.thread,
            b"thread.vtid" => &mut self.container_thread,
            b"evt.dir" => &mut self.direction,
            b"evt.type" => &mut self.call,
            b"evt.info" | b"evt.args" => &mut self.arguments,
            _ => return,
        };
        *field = value;
    }

    /// The event that they describe, if they do.
    fn line(self, scratch: &'a mut Vec<u8>) -> Option<Line<'a>> {
        scratch.clear();
        let texts = [
            self.container,
            self.container_name,
            self.name,
            self.call,
            self.arguments,
        ];
        let mut spans = [(0, 0); 5];
        if texts.iter().any(|text| text.escaped) {
            for (text, span) in texts.iter().zip(&mut spans) {
                let begin = scratch.len();
                unescape(text.bytes, scratch);
                *span = (begin, scratch.len());
            }
        }
        let scratch: &'a [u8] = scratch;
        let mut read = texts.iter().zip(spans).map(|(text, (begin, end))| {
            if text.escaped {
                &scratch[begin..end]
            } else {
                text.bytes
            }
        });
        let mut next = || read.next().unwrap_or_default();
        let (thread, is_thread) = match leading(self.thread.bytes)? {
            (number, []) => thread_number(number)?,
            _ => return None,
        };
        let small = |value: Value<'_>| {
            let (number, rest) = leading(value.bytes)?;
            u32::try_from(number).ok().filter(|_| rest.is_empty())
        };
        Some(Line {
            container: next(),
            container_name: next(),
            name: next(),
            call: next(),
            arguments: next(),
            at: time(self.time.bytes)?,
            core: small(self.core).unwrap_or(0),
            thread,
            is_of_recorder: !is_thread,
            container_thread: small(self.container_thread).unwrap_or(0),
            enter: match self.direction.bytes {
                b">" => true,
                b"<" => false,
                _ => return None,
            },
        })
        .filter(|line| !line.call.is_empty())
    }
}

/// Appends `text` with its escapes replaced (RFC 8259, section 7). Invalid ones stay as they
/// are.
fn unescape(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(&text[..at]);
        let rest = &text[at + 1..];
        let (byte, length) = match rest.first() {
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'r') => (b'\r', 1),
            Some(b'b') => (0x08, 1),
            Some(b'f') => (0x0c, 1),
            Some(b'u') => {
                let (letter, length) = unicode(rest);
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                text = &rest[length..];
                continue;
            }
            Some(byte) => (*byte, 1),
            None => (b'\\', 0),
        };
        out.push(byte);
        text = &rest[length..];
    }
    out.extend_from_slice(text);
}

/// The character of `uXXXX` or `uXXXX\uXXXX` (a surrogate pair), and the bytes that it takes.
fn unicode(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(text.get(at..at + 4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(1) else {
        return (char::REPLACEMENT_CHARACTER, 1);
    };
    let second = text
        .get(5..7)
        .filter(|mark| mark == b"\\u")
        .and_then(|_| unit(7));
    let units = [first, second.unwrap_or(0)];
    match char::decode_utf16(units).next() {
        Some(Ok(letter)) => (letter, if letter.len_utf16() == 2 { 11 } else { 5 }),
        _ => (char::REPLACEMENT_CHARACTER, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::{Scan, scan};
    use crate::sysdig::line::{Line, Misprint};

    const EVENT: &str = r#"{"container.id":"59fd49aa4072","container.name":"lb_1","evt.cpu":1,"evt.dir":"<","evt.info":"res=3 data=\"\\\u00e4\ud83e\udd80\n","evt.num":139,"evt.outputtime":1506127469905003444,"evt.type":"recvfrom","proc.name":"haproxy","thread.tid":13969,"thread.vtid":9}"#;

    fn expected(arguments: &'static str) -> Line<'static> {
        Line {
            at: 1_506_127_469_905_003_444,
            core: 1,
            container: b"59fd49aa4072",
            container_name: b"lb_1",
            name: b"haproxy",
            thread: 13_969,
            container_thread: 9,
            is_of_recorder: false,
            enter: false,
            call: b"recvfrom",
            arguments: arguments.as_bytes(),
        }
    }

    #[test]
    fn an_object_is_an_event() {
        let mut scratch = Vec::new();
        let found = scan(EVENT.as_bytes(), &mut scratch);
        let line = expected("res=3 data=\"\\ä🦀\n");
        assert_eq!(found, Scan::Object(EVENT.len(), Some(line)));
    }

    #[test]
    fn each_beginning_of_an_object_is_incomplete() {
        let mut scratch = Vec::new();
        for end in 0..EVENT.len() {
            let found = scan(&EVENT.as_bytes()[..end], &mut scratch);
            assert_eq!(found, Scan::Incomplete, "{end}");
        }
    }

    #[test]
    fn spaces_nesting_and_unknown_fields_are_skipped() {
        let text = EVENT.replace(",", " ,\n ").replace(":", " : ").replacen(
            '{',
            r#"{ "x" : [1, {"y": "]}"}, []], "z": null, "#,
            1,
        );
        let mut scratch = Vec::new();
        let Scan::Object(length, Some(line)) = scan(text.as_bytes(), &mut scratch) else {
            panic!("{text}");
        };
        assert_eq!((length, line.thread), (text.len(), 13_969));
    }

    #[test]
    fn other_objects_are_no_event() {
        let mut scratch = Vec::new();
        for text in [
            "{}".to_owned(),
            r#"{"a":1}"#.to_owned(),
            EVENT.replace("13969", "99999999999"),
            EVENT.replace("1506127469905003444", "\"00:44:29.9\""),
            EVENT.replace("\"<\"", "\"?\""),
            EVENT.replace("recvfrom", ""),
        ] {
            let found = scan(text.as_bytes(), &mut scratch);
            assert_eq!(found, Scan::Object(text.len(), None), "{text}");
        }
    }

    #[test]
    fn an_event_of_the_recorder_is_of_no_thread() {
        let mut scratch = Vec::new();
        let text = EVENT.replace("13969", "-1");
        let Scan::Object(_, Some(line)) = scan(text.as_bytes(), &mut scratch) else {
            panic!("{text}");
        };
        assert!(line.is_of_recorder);
    }

    #[test]
    fn an_event_without_the_field_of_its_container_is_recognised() {
        let mut scratch = Vec::new();
        let text = EVENT.replace("container.id", "evt.x");
        let found = scan(text.as_bytes(), &mut scratch);
        assert_eq!(found, Scan::Misprint(text.len(), Misprint::NoContainer));
        // sysdig knows the field, but not its value.
        let text = EVENT.replace("\"59fd49aa4072\"", "null");
        let found = scan(text.as_bytes(), &mut scratch);
        assert!(matches!(found, Scan::Object(_, Some(_))));
    }

    #[test]
    fn other_bytes_are_invalid() {
        let deep = format!("{{\"a\":{}", "[".repeat(100));
        let mut scratch = Vec::new();
        for text in [
            "x",
            "[",
            "{1",
            "{\"a\" 1}",
            "{\"a\":!}",
            "{\"a\":1 2}",
            &deep,
        ] {
            assert_eq!(scan(text.as_bytes(), &mut scratch), Scan::Invalid, "{text}");
        }
    }
}
