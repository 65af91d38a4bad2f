//! `bubble-agent analyse`: the same pipeline over a recording instead of this host.
//!
//! A recorded source feeds the window, and the window's segments go to the report and to the
//! server. The exit code tells how it went: see [`Ended`].

pub mod flags;
mod progress;
pub mod report;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use bubble_common::segment::{ContainerId, Segment, SourceId};

use self::flags::{Flags, Format};
use self::progress::Progress;
use self::report::Report;
use self::report::tally::Tally;
use crate::config::Config;
use crate::source::recording::input::Input;
use crate::source::recording::{Error, Recording, Step};
use crate::source::sysdig::{MISSING, Syntax, Sysdig};
use crate::window::Window;

/// How an analysis ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The recording was whole.
    Whole,
    /// It is damaged or cut: what could be read was taken.
    Damaged,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Whole => Self::SUCCESS,
            // 1 is failure, 2 a command line that is wrong.
            Ended::Damaged => Self::from(3),
        }
    }
}

/// Reads a recording, and reports or posts it.
///
/// # Errors
/// When nothing of it can be read, or what was read cannot be handed on.
pub fn run(config: &Config, flags: &Flags) -> Result<Ended> {
    let name = flags.name.clone().unwrap_or_else(|| name_of(&flags.file));
    let input = Input::open(&flags.file)
        .with_context(|| format!("cannot read {}", flags.file.display()))?;
    let (report, ended) = analyse(config, flags, &name, input)?;
    let mut out = std::io::stdout().lock();
    if flags.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    if let Some(damage) = &report.damage {
        eprintln!("bubble-agent: {name}: {damage}; what came before was taken in");
    }
    Ok(ended)
}

fn name_of(file: &Path) -> String {
    match file.file_name() {
        Some(name) if name != "-" => name.to_string_lossy().into_owned(),
        _ => "standard input".to_owned(),
    }
}

/// Reads one recording to its end.
fn analyse(
    config: &Config,
    flags: &Flags,
    name: &str,
    mut input: Input,
) -> Result<(Report, Ended)> {
    let format = match flags.format {
        Some(format) => format,
        None => guess(&mut input)?,
    };
    let host = config.include_host.then(|| ContainerId::new(&config.host));
    let host = host
        .transpose()
        .context("the host cannot be shown as a container: give it another name with --host")?;
    let mut tally = Tally::default();
    let syntax = match format {
        Format::Json => Syntax::Json,
        Format::Text => Syntax::Text,
    };
    let mut recording = Sysdig::new(input, syntax, host);
    let damage = read(&mut recording, name, |segment| tally.add(&segment))?;
    let mut report = Report::new(name, format.name(), recording.position(), &tally);
    report.missing = MISSING.iter().map(|&missing| missing.to_owned()).collect();
    let ended = if damage.is_some() {
        Ended::Damaged
    } else {
        Ended::Whole
    };
    report.damage = damage.map(|error| error.to_string());
    Ok((report, ended))
}

/// What the recording is written in.
fn guess(input: &mut Input) -> Result<Format> {
    // A pipe may give a byte at a time, and text may begin with empty lines.
    while input.data().trim_ascii_start().is_empty() {
        if !input.more()? {
            bail!("there is nothing in it");
        }
    }
    Format::guess(input.data())
        .context("what it is written in cannot be told from its beginning: say it with --format")
}

/// Steps through a recording; the segments go to `take`. Why it ended early, if it did after
/// something was read.
fn read(
    recording: &mut impl Recording,
    name: &str,
    mut take: impl FnMut(Segment),
) -> Result<Option<Error>> {
    let mut window = Window::new(SourceId(rand::random()), 0);
    let mut progress = Progress::new(name);
    let damage = loop {
        let step = recording.step(&mut window);
        window.take_closed().into_iter().for_each(&mut take);
        progress.show(recording.position());
        match step {
            Ok(Step::More) => {}
            Ok(Step::End) => break None,
            Err(error) => break Some(error),
        }
    };
    progress.end();
    window.close_all();
    window.take_closed().into_iter().for_each(&mut take);
    match damage {
        Some(error) if recording.position().events == 0 => Err(error.into()),
        damage => Ok(damage),
    }
}
