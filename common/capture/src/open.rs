//! A recording of any format, which its beginning shows.

use bubble_common::segment::ContainerId;

use crate::foreign;
use crate::format::Format;
use crate::recording::input::Input;
use crate::recording::{Error, Position, Recording, Step};
use crate::scap::{Capture, Options};
use crate::sink::Sink;
use crate::sysdig::{MISSING, Syntax, Sysdig};

/// The mark that some programs put before text in UTF-8.
const UTF_8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Why a recording cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read, or its compressed data is damaged at once.
    #[error(transparent)]
    Read(#[from] Error),
    /// It is something else, as the text says with the command that helps.
    #[error("{0}")]
    Foreign(&'static str),
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// Its beginning is that of no format.
    #[error("unknown format: name it with --format")]
    Unknown,
    /// The host's name cannot be the id of a container.
    #[error("the host cannot be shown as a container under this name: choose another with --host")]
    Host,
}

/// An open recording.
#[derive(Debug)]
pub struct Opened {
    /// Its format.
    pub format: Format,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Capture(Box<Capture>),
    Sysdig(Box<Sysdig>),
}

impl Opened {
    /// Opens a recording. Its format is `format` or guessed from its beginning.
    ///
    /// # Errors
    /// When it cannot be read, or has no known format.
    pub fn new(
        mut input: Input,
        format: Option<Format>,
        options: Options,
    ) -> Result<Self, OpenError> {
        input.peek()?;
        if let Some(name) = foreign::name(input.data()) {
            return Err(OpenError::Foreign(name));
        }
        if input.data().starts_with(UTF_8_MARK) {
            input.consume(UTF_8_MARK.len());
        }
        let format = match format {
            Some(format) => format,
            None => guess(&mut input)?,
        };
        let reader = match format {
            Format::Scap => Reader::Capture(Box::new(Capture::new(input, options))),
            Format::Json => sysdig(input, Syntax::Json, &options)?,
            Format::Text => sysdig(input, Syntax::Text, &options)?,
        };
        Ok(Self { format, reader })
    }

    /// Facts that its format lacks: one sentence each.
    pub fn missing(&self) -> Vec<String> {
        let missing = match self.reader {
            Reader::Capture(_) => &[],
            Reader::Sysdig(_) => MISSING,
        };
        missing.iter().map(|&missing| missing.to_owned()).collect()
    }
}

fn sysdig(input: Input, syntax: Syntax, options: &Options) -> Result<Reader, OpenError> {
    let host = options
        .host
        .then(|| ContainerId::new(&options.rules.host))
        .transpose()
        .map_err(|_| OpenError::Host)?;
    Ok(Reader::Sysdig(Box::new(Sysdig::new(input, syntax, host))))
}

impl Recording for Opened {
    fn step<S: Sink>(&mut self, sink: &mut S) -> Result<Step, Error> {
        match &mut self.reader {
            Reader::Capture(capture) => capture.step(sink),
            Reader::Sysdig(sysdig) => sysdig.step(sink),
        }
    }

    fn position(&self) -> Position {
        match &self.reader {
            Reader::Capture(capture) => capture.position(),
            Reader::Sysdig(sysdig) => sysdig.position(),
        }
    }
}

/// The format of a recording, by its beginning.
fn guess(input: &mut Input) -> Result<Format, OpenError> {
    loop {
        if let Some(format) = Format::guess(input.data()) {
            return Ok(format);
        }
        // A pipe may give a byte at a time, and text may begin with empty lines.
        let begun = !input.data().trim_ascii_start().is_empty();
        if begun || !input.peek()? {
            break;
        }
    }
    Err(match input.data().is_empty() {
        true => OpenError::Empty,
        false => OpenError::Unknown,
    })
}
