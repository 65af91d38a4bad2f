//! A recording of any format, which its beginning shows.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use bubble_common::segment::ContainerId;

use super::flags::Format;
use super::foreign;
use crate::config::Config;
use crate::sink::Sink;
use crate::source::recording::input::Input;
use crate::source::recording::{Error, Position, Recording, Step};
use crate::source::scap::{Capture, Options};
use crate::source::sysdig::{MISSING, Syntax, Sysdig};

/// The mark that some programs put before text in UTF-8.
const UTF_8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// An open recording.
#[derive(Debug)]
pub(super) struct Opened {
    /// Its format.
    pub(super) format: Format,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Capture(Box<Capture>),
    Sysdig(Box<Sysdig>),
}

impl Opened {
    /// Opens `file`. Its format is `format` or guessed from its beginning.
    ///
    /// # Errors
    /// When it cannot be read, or has no known format.
    pub(super) fn open(file: &Path, format: Option<Format>, config: &Config) -> Result<Self> {
        let mut input = Input::open(file)?;
        input.peek()?;
        if let Some(name) = foreign::name(input.data()) {
            bail!(name);
        }
        if input.data().starts_with(UTF_8_MARK) {
            input.consume(UTF_8_MARK.len());
        }
        let format = match format {
            Some(format) => format,
            None => guess(&mut input)?,
        };
        let sysdig = |input, syntax| -> Result<Reader> {
            let host = config.include_host.then(|| ContainerId::new(&config.host));
            let host = host.transpose().context(
                "the host cannot be shown as a container under this name: choose another with --host",
            )?;
            Ok(Reader::Sysdig(Box::new(Sysdig::new(input, syntax, host))))
        };
        let reader = match format {
            Format::Scap => {
                let options = Options {
                    rules: config.rules.clone(),
                    host: config.include_host,
                };
                Reader::Capture(Box::new(Capture::new(input, options)))
            }
            Format::Json => sysdig(input, Syntax::Json)?,
            Format::Text => sysdig(input, Syntax::Text)?,
        };
        Ok(Self { format, reader })
    }

    /// Facts that its format lacks: one sentence each.
    pub(super) fn missing(&self) -> Vec<String> {
        let missing = match self.reader {
            Reader::Capture(_) => &[],
            Reader::Sysdig(_) => MISSING,
        };
        missing.iter().map(|&missing| missing.to_owned()).collect()
    }
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
fn guess(input: &mut Input) -> Result<Format> {
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
    if input.data().is_empty() {
        bail!("it is empty");
    }
    bail!("unknown format: name it with --format")
}
