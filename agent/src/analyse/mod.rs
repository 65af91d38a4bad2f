//! `bubble-agent analyse`: the same pipeline over a recording instead of this host.
//!
//! A recorded source feeds the window, and the window's segments go to the report and to the
//! server. The exit code is that of [`Ended`].

pub mod flags;
mod post;
mod progress;
pub mod report;
mod watch;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use bubble_capture::open::Opened;
use bubble_capture::recording::input::Input;
use bubble_capture::recording::{Recording as _, Step};
use bubble_capture::scap::Options;
use bubble_capture::sink::Sink;
use bubble_capture::source_id;
pub use bubble_capture::tables;
use bubble_capture::tables::Tables;
use bubble_capture::window::Window;
use bubble_common::report::render::{Format, render};
use bubble_common::report::tally::Tally;
use bubble_common::report::{Context as ReportContext, DEFAULT_ROWS, Report as ContainerReport};
use bubble_common::segment::Segment;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use self::flags::Flags;
use self::post::Post;
use self::progress::Progress;
use self::report::Report;
use crate::config::Config;
use crate::send::{Sender, sender};

/// How an analysis ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// The recording was whole.
    Whole,
    /// It is damaged or cut: everything before the damage was taken.
    Damaged,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Whole => Self::SUCCESS,
            // 1 is failure, 2 a wrong command line.
            Ended::Damaged => Self::from(3),
        }
    }
}

/// The parts that all recordings of one command share.
struct Analysis<'a> {
    config: &'a Config,
    flags: &'a Flags,
    /// The server; `None` for a dry run.
    server: Option<(&'a str, Sender)>,
    runtime: Runtime,
    /// A signal asked to end.
    stop: Arc<AtomicBool>,
}

/// Reads recordings, and reports or posts them.
///
/// # Errors
/// When nothing can be read, or the results cannot be posted or written.
pub fn run(config: &Config, flags: &Flags) -> Result<Ended> {
    let analysis = Analysis::new(config, flags)?;
    match (&flags.file, &flags.watch) {
        (_, Some(folder)) => analysis.watch(folder),
        (Some(file), None) => analysis
            .recording(file)
            .with_context(|| format!("cannot analyse {}", file.display())),
        (None, None) => bail!("no recording given: name a file, or - for standard input"),
    }
}

impl<'a> Analysis<'a> {
    fn new(config: &'a Config, flags: &'a Flags) -> Result<Self> {
        let server = if flags.dry_run {
            None
        } else {
            Some(sender(config).context("without a server, --dry-run prints a report only")?)
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("cannot start the threads that send")?;
        let stop = Arc::new(AtomicBool::new(false));
        runtime.block_on(async { stop_on_signals(Arc::clone(&stop)) })?;
        Ok(Self {
            config,
            flags,
            server,
            runtime,
            stop,
        })
    }

    /// Reads captures as they are rotated. One that cannot be read is skipped.
    fn watch(&self, folder: &Path) -> Result<Ended> {
        let mut worst = Ended::Whole;
        watch::watch(folder, &self.stop, |file| -> Result<()> {
            match self.recording(file) {
                Ok(ended) => worst = worst.max(ended),
                Err(error) if error.is::<Unreadable>() => {
                    tracing::error!("{} is skipped: {error:#}", file.display());
                    worst = Ended::Damaged;
                }
                Err(error) => return Err(error),
            }
            Ok(())
        })
        .with_context(|| format!("cannot go on watching {}", folder.display()))?;
        Ok(worst)
    }

    /// Reads one recording to its end, and prints its report.
    fn recording(&self, file: &Path) -> Result<Ended> {
        let name = match &self.flags.name {
            Some(name) => name.clone(),
            None => name_of(file),
        };
        let source = source_id::of_file(file).context(Unreadable)?;
        let mut recording = self.open(file).context(Unreadable)?;
        let missing = recording.missing();
        let post = self.post(&name, &missing)?;
        let mut tally = Tally::of_recording();
        let take = |segment: Segment| {
            tally.add(&segment);
            post.as_ref().is_none_or(|post| post.put(segment))
        };
        let window = Window::new(source, 0);
        let damage = match &self.flags.tables {
            Some(folder) => {
                let mut tables = Tables::new(window);
                let damage = self.read(&mut recording, &name, &mut tables, take);
                let written = tables.write(folder);
                written.with_context(|| format!("cannot write to {}", folder.display()))?;
                damage
            }
            None => self.read(&mut recording, &name, &mut { window }, take),
        };
        let posted = post.map(Post::finish).transpose()?;
        let mut report = Report::new(&name, recording.format.name(), recording.position(), &tally);
        report.missing = missing;
        report.damage = damage?;
        if let Err(error) = self.print(&report, &tally, posted) {
            // The reader, such as `head`, has seen enough.
            let pipe = error.downcast_ref::<std::io::Error>();
            if pipe.is_none_or(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
                return Err(error);
            }
        }
        Ok(match report.damage {
            Some(_) => Ended::Damaged,
            None => Ended::Whole,
        })
    }

    fn open(&self, file: &Path) -> Result<Opened> {
        let options = Options {
            rules: self.config.rules.clone(),
            host: self.config.include_host,
        };
        Ok(Opened::new(Input::open(file)?, self.flags.format, options)?)
    }

    /// Begins to post a recording, unless this is a dry run.
    fn post(&self, name: &str, missing: &[String]) -> Result<Option<Post>> {
        let Some((_, sender)) = &self.server else {
            return Ok(None);
        };
        let sender = Arc::new(sender.for_recording(name)?);
        let report = crate::report::host(&self.config.host, "capture", missing);
        let runtime = self.runtime.handle();
        Ok(Some(Post::start(runtime, sender, report)))
    }

    /// Steps through a recording; the segments go to `take`, until it returns false. Returns why
    /// reading ended early, if events were read before.
    fn read<S: Sink + AsMut<Window>>(
        &self,
        recording: &mut Opened,
        name: &str,
        sink: &mut S,
        mut take: impl FnMut(Segment) -> bool,
    ) -> Result<Option<String>> {
        let mut progress = Progress::new(name);
        // A folder is read to its end; only then does a signal end watching.
        let may_stop = self.flags.watch.is_none();
        let mut is_interrupted = false;
        let ended = loop {
            let step = recording.step(sink);
            progress.show(recording.position());
            if !sink.as_mut().take_closed().into_iter().all(&mut take) {
                break Ok(());
            }
            match step {
                Ok(Step::More) if may_stop && self.stop.load(Ordering::Relaxed) => {
                    is_interrupted = true;
                    break Ok(());
                }
                Ok(Step::More) => {}
                Ok(Step::End) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        progress.end();
        sink.as_mut().close_all();
        sink.as_mut().take_closed().into_iter().all(&mut take);
        let position = recording.position();
        match ended {
            Err(error) if position.events == 0 => Err(error).context(Unreadable),
            Err(error) => Ok(Some(error.to_string())),
            // A stream has no other end; a file has a rest.
            Ok(()) if is_interrupted && position.total.is_some() => {
                Ok(Some("interrupted before its end".to_owned()))
            }
            Ok(()) => Ok(None),
        }
    }

    /// Prints the result of a recording.
    fn print(&self, report: &Report, tally: &Tally, posted: Option<u64>) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if self.flags.report {
            let context = ReportContext {
                missing: report.missing.clone(),
                rows: DEFAULT_ROWS,
                known: report
                    .first
                    .zip(report.last)
                    .map(|(first, last)| first..last),
                ..ReportContext::default()
            };
            for (id, sums) in &tally.containers {
                let report = ContainerReport::new(id, sums, &context);
                writeln!(out, "{}", render(&report, Format::Text))?;
            }
        } else if self.flags.json {
            serde_json::to_writer_pretty(&mut out, report)?;
            writeln!(out)?;
        } else if let (Some(segments), Some((server, _))) = (posted, &self.server) {
            let containers = report.containers.len();
            let name = &report.name;
            writeln!(
                out,
                "posted {name}: {segments} seconds of {containers} containers, kept until deleted"
            )?;
            for container in &report.containers {
                let name = container.name.as_deref().unwrap_or_default();
                writeln!(out, "  {server}/c/{}  {name}", container.id)?;
            }
        } else {
            write!(out, "{report}")?;
        }
        if let Some(damage) = &report.damage {
            let name = &report.name;
            eprintln!("bubble-agent: {name}: {damage}; everything that could be read was counted");
        }
        Ok(())
    }
}

/// Nothing of a recording can be read.
#[derive(Debug, thiserror::Error)]
#[error("nothing of it can be read")]
struct Unreadable;

/// The first signal ends reading in good order; the second one exits at once.
fn stop_on_signals(stop: Arc<AtomicBool>) -> Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.swap(true, Ordering::Relaxed) {
                // The exit code of shells for a program that SIGINT killed.
                std::process::exit(130);
            }
        }
    });
    Ok(())
}

fn name_of(file: &Path) -> String {
    match file.file_name() {
        Some(name) if name != "-" => name.to_string_lossy().into_owned(),
        _ => "standard input".to_owned(),
    }
}
