//! A recording of whatever format, by its beginning.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use bubble_common::segment::ContainerId;

use super::flags::Format;
use crate::config::Config;
use crate::sink::Sink;
use crate::source::recording::input::Input;
use crate::source::recording::{Error, Position, Recording, Step};
use crate::source::scap::{Capture, Options};
use crate::source::sysdig::{MISSING, Syntax, Sysdig};

/// A recording that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    /// What it is written in.
    pub(super) format: Format,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Capture(Box<Capture>),
    Sysdig(Box<Sysdig>),
}

impl Opened {
    /// Opens `file`, which is written in `format` or in what its beginning tells.
    ///
    /// # Errors
    /// When it cannot be read, or is in no format that is known.
    pub(super) fn open(file: &Path, format: Option<Format>, config: &Config) -> Result<Self> {
        let mut input = Input::open(file)?;
        let format = match format {
            Some(format) => format,
            None => guess(&mut input)?,
        };
        let sysdig = |input, syntax| -> Result<Reader> {
            let host = config.include_host.then(|| ContainerId::new(&config.host));
            let host = host.transpose().context(
                "the host cannot be shown as a container: give it another name with --host",
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

    /// What its format does not tell: one sentence each.
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

/// What a recording is written in.
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
    bail!("what it is written in cannot be told from its beginning: say it with --format")
}
