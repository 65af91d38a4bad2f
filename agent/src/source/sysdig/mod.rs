//! What sysdig printed: `sysdig -pc -j` (JSON) and `sysdig -pc -t a` (text).
//!
//! Each line is an event as sysdig understood it, with paths and peers made out already.
//! So this source is a capture reader without the kernel's details, and counts by the same
//! rules; what the two syntaxes leave out is listed in [`MISSING`].
//!
//! A line that cannot be understood is counted and passed over: sysdig writes messages of
//! its own between lines, and an event may take several. Only input in which nothing
//! can be understood is an error.

mod account;
mod call;
mod core;
mod descriptor;
mod json;
mod line;
mod process;
mod text;
mod thing;

use bubble_common::segment::ContainerId;
use memchr::memchr;

use self::account::Accounts;
use self::json::Scan;
use super::recording::input::Input;
use super::recording::{Error, Position, Recording, Step};
use crate::sink::Sink;

/// What sysdig's output does not tell, whichever syntax it has.
pub const MISSING: &[&str] = &[
    "the container's image, labels and limits: sysdig prints its id and name only",
    "processes that run when the recording begins: when they started, their command line, user and parent are not known, and each of their threads counts as a process",
    "the words of a command line: sysdig prints a point for the NUL between them",
    "events that sysdig lost: it does not print that it did",
];

/// How the lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `sysdig -pc -j`.
    Json,
    /// `sysdig -pc -t a`.
    Text,
}

/// A line longer than this, in bytes, is passed over: sysdig's have a few hundred.
const LINE: usize = 1 << 20;
/// Input in which none of so many lines at its beginning can be understood is something else.
const STRANGE: u64 = 1_000;

/// Reads what sysdig printed.
#[derive(Debug)]
pub struct Sysdig {
    input: Input,
    syntax: Syntax,
    accounts: Accounts,
    position: Position,
    /// Within a line that is too long or wrong: up to its end nothing is taken.
    skipping: bool,
    ended: bool,
    scratch: Vec<u8>,
}

impl Sysdig {
    /// A reader of `input`, which shows the host as the container `host`, or not.
    pub fn new(input: Input, syntax: Syntax, host: Option<ContainerId>) -> Self {
        Self {
            input,
            syntax,
            accounts: Accounts::new(host),
            position: Position::default(),
            skipping: false,
            ended: false,
            scratch: Vec::new(),
        }
    }

    /// Takes in all that is whole in what is here.
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
                        self.position.event(line.at);
                        self.accounts.line(&line, sink);
                        length
                    }
                    Found::Other(length) => {
                        self.position.skipped += 1;
                        length
                    }
                    Found::Wrong => {
                        self.position.skipped += 1;
                        self.skipping = true;
                        0
                    }
                    Found::Cut if rest.len() > LINE => {
                        self.position.skipped += 1;
                        self.skipping = true;
                        0
                    }
                    Found::Cut => break,
                }
            };
            at += taken;
        }
        self.input.consume(at);
    }

    /// Takes the next piece of input.
    fn read<S: Sink>(&mut self, sink: &mut S) -> Result<Step, Error> {
        let more = self.input.more();
        self.take(sink);
        let end = !*more.as_ref().unwrap_or(&false);
        let whole = self.input.data().is_empty();
        let skipped = self.position.skipped;
        let strange = skipped >= STRANGE || (end && (skipped > 0 || !whole));
        if strange && self.position.events == 0 {
            return Err(self.strange());
        }
        if more? {
            return Ok(Step::More);
        }
        if whole {
            return Ok(Step::End);
        }
        // sysdig ends each of its lines.
        Err(Error::Cut {
            at: self.input.offset(),
            within: "a line".to_owned(),
        })
    }

    fn strange(&self) -> Error {
        let (name, command) = match self.syntax {
            Syntax::Json => ("JSON", "sysdig -pc -j"),
            Syntax::Text => ("text", "sysdig -pc -t a"),
        };
        Error::Format(format!(
            "no line is an event in sysdig's {name} as `{command}` prints it"
        ))
    }
}

/// What is next in the input.
enum Found<'a> {
    /// Nothing of interest, so many bytes long.
    Nothing(usize),
    /// An event.
    Line(usize, line::Line<'a>),
    /// Something that is no event.
    Other(usize),
    /// The rest of the line is of no use.
    Wrong,
    /// The end is not there yet.
    Cut,
}

fn text_line(data: &[u8]) -> Found<'_> {
    let Some(end) = memchr(b'\n', data) else {
        return Found::Cut;
    };
    let line = &data[..end];
    match text::parse(line) {
        Some(event) => Found::Line(end + 1, event),
        None if line.trim_ascii().is_empty() => Found::Nothing(end + 1),
        None => Found::Other(end + 1),
    }
}

fn object<'a>(data: &'a [u8], scratch: &'a mut Vec<u8>) -> Found<'a> {
    // Between the objects of an array, and of lines.
    let between = data
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']'))
        .count();
    if between > 0 {
        return Found::Nothing(between);
    }
    match json::scan(data, scratch) {
        Scan::Object(length, Some(line)) => Found::Line(length, line),
        Scan::Object(length, None) => Found::Other(length),
        Scan::Cut => Found::Cut,
        Scan::Wrong => Found::Wrong,
    }
}

impl Recording for Sysdig {
    fn step<S: Sink>(&mut self, sink: &mut S) -> Result<Step, Error> {
        if self.ended {
            return Ok(Step::End);
        }
        let result = self.read(sink);
        self.ended = !matches!(result, Ok(Step::More));
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
