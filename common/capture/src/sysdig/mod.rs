//! Output of sysdig: `sysdig -pc -j` (JSON) and `sysdig -pc -t a` (text).
//!
//! Each line is an event as sysdig understood it, with resolved paths and peers. So this source
//! is a capture reader without the kernel's details. It counts by the same rules
//! (`source::recording`). [`MISSING`] lists the facts that sysdig does not print.
//!
//! `text` and `json` parse lines; `account` hands each to its handler: `process`, `io` or
//! `socket`. A line that cannot be parsed is skipped and counted: sysdig writes messages of its
//! own between lines, and an event may take several. Input without any event is an error.

mod account;
mod call;
mod containers;
mod descriptor;
mod exit;
mod handles;
mod io;
mod json;
mod line;
mod process;
mod socket;
mod text;

use bubble_common::segment::ContainerId;
use memchr::memchr;

use self::account::Account;
use self::json::Scan;
use self::line::{Line, MIN_TIME, Misprint};
use super::recording::input::Input;
use super::recording::{Error, Position, Recording, Step};
use crate::sink::Sink;

/// Facts that sysdig does not print, in either syntax.
pub const MISSING: &[&str] = &[
    "the container's image, labels and limits: sysdig prints its id and name only",
    "processes that run when the recording begins: when they started, their command line, user and parent are not known, and each of their threads counts as a process",
    "the words of a command line: sysdig prints a point for the NUL between them",
    "events that sysdig lost: it does not print that it did",
];

/// The syntax of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `sysdig -pc -j`.
    Json,
    /// `sysdig -pc -t a`.
    Text,
}

impl Syntax {
    /// The command that prints it.
    fn command(self) -> &'static str {
        match self {
            Self::Json => "sysdig -pc -j",
            Self::Text => "sysdig -pc -t a",
        }
    }
}

/// Longest line, in bytes; longer ones are skipped. sysdig's have a few hundred.
const MAX_LINE: usize = 1 << 20;
/// Most lines at the beginning without an event; the input has another format after more.
const MAX_FOREIGN_LINES: u64 = 1_000;

/// Reads output of sysdig.
#[derive(Debug)]
pub struct Sysdig {
    input: Input,
    syntax: Syntax,
    account: Account,
    position: Position,
    /// How the first line was printed that was not printed as it should be.
    misprint: Option<Misprint>,
    /// Within a line that is too long or invalid: its rest is skipped.
    skipping: bool,
    ended: bool,
    scratch: Vec<u8>,
}

impl Sysdig {
    /// A reader of `input`, which shows the host as the container `host`, or not at all.
    pub fn new(input: Input, syntax: Syntax, host: Option<ContainerId>) -> Self {
        Self {
            input,
            syntax,
            account: Account::new(host),
            position: Position::default(),
            misprint: None,
            skipping: false,
            ended: false,
            scratch: Vec::new(),
        }
    }

    /// Reads all whole lines at hand.
    fn take<S: Sink>(&mut self, sink: &mut S) {
        let data = self.input.data();
        let mut at = 0;
        while at < data.len() {
            let rest = &data[at..];
            let taken = if self.skipping {
                match memchr(b'\n', rest) {
                    Some(newline) => {
                        self.skipping = false;
                        newline + 1
                    }
                    None => rest.len(),
                }
            } else {
                let found = match self.syntax {
                    Syntax::Text => text_line(rest),
                    Syntax::Json => object(rest, &mut self.scratch),
                };
                match found {
                    Found::Nothing(length) => length,
                    Found::Line(length, line) => {
                        event(&line, &mut self.position, &mut self.account, sink);
                        length
                    }
                    Found::Misprint(length, misprint) => {
                        self.position.skipped += 1;
                        self.misprint.get_or_insert(misprint);
                        length
                    }
                    Found::Other(length) => {
                        self.position.skipped += 1;
                        length
                    }
                    Found::Invalid => {
                        self.position.skipped += 1;
                        self.skipping = true;
                        0
                    }
                    Found::Incomplete if rest.len() > MAX_LINE => {
                        self.position.skipped += 1;
                        self.skipping = true;
                        0
                    }
                    Found::Incomplete => break,
                }
            };
            at += taken;
        }
        self.input.consume(at);
    }

    /// Reads the next piece of input.
    fn read<S: Sink>(&mut self, sink: &mut S) -> Result<Step, Error> {
        let more = self.input.more();
        self.take(sink);
        let end = !*more.as_ref().unwrap_or(&false);
        let whole = self.input.data().is_empty();
        let skipped = self.position.skipped;
        if let Some(misprint) = self.misprint
            && self.position.first.is_none()
        {
            return Err(self.misprinted(misprint));
        }
        let is_foreign = skipped >= MAX_FOREIGN_LINES || (end && (skipped > 0 || !whole));
        if is_foreign && self.position.events == 0 {
            return Err(self.foreign_format());
        }
        if more? {
            return Ok(Step::More);
        }
        if whole {
            return Ok(Step::End);
        }
        // sysdig ends each of its lines.
        Err(Error::Truncated {
            at: self.input.offset(),
            within: "a line".to_owned(),
        })
    }

    fn foreign_format(&self) -> Error {
        let name = match self.syntax {
            Syntax::Json => "JSON",
            Syntax::Text => "text",
        };
        Error::Format(format!(
            "no line is an event in sysdig's {name} as `{}` prints it",
            self.syntax.command()
        ))
    }

    fn misprinted(&self, misprint: Misprint) -> Error {
        let why = match misprint {
            Misprint::RelativeTime => {
                "its times count from the beginning (-t r) or from another event (-t d)"
            }
            Misprint::TimeOfDay => "its times have no day (-t h, sysdig's default)",
            Misprint::NoContainer => "its lines lack the container (no -pc)",
        };
        let command = self.syntax.command();
        Error::Format(format!("{why}; print it with `{command}`"))
    }
}

/// Takes in an event, unless its time cannot be.
fn event<S: Sink>(line: &Line<'_>, position: &mut Position, account: &mut Account, sink: &mut S) {
    if line.is_of_recorder {
        position.event(None);
    } else if account.is_too_late(line.at) {
        position.skipped += 1;
    } else {
        position.event((!account.is_behind(line.at)).then_some(line.at));
        account.line(line, sink);
    }
}

/// The next unit of the input.
enum Found<'a> {
    /// White space, of this many bytes.
    Nothing(usize),
    /// An event, of this many bytes.
    Line(usize, Line<'a>),
    /// An event as another command prints it, of this many bytes.
    Misprint(usize, Misprint),
    /// Something else, of this many bytes.
    Other(usize),
    /// The rest of the line cannot be parsed.
    Invalid,
    /// Its end is missing.
    Incomplete,
}

impl<'a> Found<'a> {
    fn event(length: usize, line: Line<'a>) -> Self {
        if line.at < MIN_TIME && !line.is_of_recorder {
            return Self::Misprint(length, Misprint::RelativeTime);
        }
        Self::Line(length, line)
    }
}

fn text_line(data: &[u8]) -> Found<'_> {
    let Some(end) = memchr(b'\n', data) else {
        return Found::Incomplete;
    };
    let line = &data[..end];
    match text::parse(line) {
        Some(event) => Found::event(end + 1, event),
        None if line.trim_ascii().is_empty() => Found::Nothing(end + 1),
        None => match text::misprint(line) {
            Some(misprint) => Found::Misprint(end + 1, misprint),
            None => Found::Other(end + 1),
        },
    }
}

fn object<'a>(data: &'a [u8], scratch: &'a mut Vec<u8>) -> Found<'a> {
    // Separators of the objects of an array, and of lines.
    let between = data
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']'))
        .count();
    if between > 0 {
        return Found::Nothing(between);
    }
    match json::scan(data, scratch) {
        Scan::Object(length, Some(line)) => Found::event(length, line),
        Scan::Misprint(length, misprint) => Found::Misprint(length, misprint),
        Scan::Object(length, None) => Found::Other(length),
        Scan::Incomplete => Found::Incomplete,
        Scan::Invalid => Found::Invalid,
    }
}

impl Recording for Sysdig {
    fn step<S: Sink>(&mut self, sink: &mut S) -> Result<Step, Error> {
        if self.ended {
            return Ok(Step::End);
        }
        let result = self.read(sink);
        if !matches!(result, Ok(Step::More)) {
            self.ended = true;
            self.account.finish(sink);
        }
        result
    }

    fn position(&self) -> Position {
        let (bytes, total) = self.input.progress();
        Position {
            bytes,
            total,
            ..self.position
        }
    }
}

#[cfg(test)]
mod tests;
