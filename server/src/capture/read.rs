//! The process that reads one capture: from standard input, a file, to standard output, another file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use bubble_capture::open::{OpenError, Opened};
use bubble_capture::recording::input::Input;
use bubble_capture::recording::{Position, Recording as _, Step};
use bubble_capture::scap::Options;
use bubble_capture::source_id;
use bubble_capture::window::Window;
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::{ContainerId, Segment, SourceId, facts};
use clap::Args;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::output::{Found, MAX_LISTED, Section, Summary, put_batch, put_refusal, put_summary};
use crate::store::recording::RecordedLoss;

/// Most segments of a batch.
const MAX_BATCH_SEGMENTS: usize = 64;
/// Most sections that go back in time: each is a recording.
const MAX_SECTIONS: usize = 100;
/// Most open files: standard input and output, and their copies.
const MAX_FILES: u64 = 16;
/// Seconds of CPU time between the signal and the end.
const CPU_GRACE: u64 = 5;

/// What the process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Bounds {
    /// Bytes of memory
    #[arg(long)]
    pub memory: u64,
    /// Seconds of CPU time
    #[arg(long)]
    pub cpu: u64,
    /// Bytes of output
    #[arg(long)]
    pub output: u64,
}

/// Reads the capture on standard input within `bounds`, and writes frames to standard output.
///
/// # Errors
/// When it cannot be bounded, or its output cannot be written. A file that is no capture is a frame.
pub fn run(bounds: &Bounds) -> Result<()> {
    bound(bounds).context("cannot set the bounds of this process")?;
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut output = BufWriter::new(output);
    match read(input, &mut output) {
        Ok(summary) => put_summary(&mut output, &summary)?,
        Err(Failed::Refused(why)) => put_refusal(&mut output, &why)?,
        Err(Failed::Write(error)) => return Err(error).context("cannot write the output"),
    }
    output.flush().context("cannot write the output")
}

fn bound(bounds: &Bounds) -> io::Result<()> {
    let set = |resource, soft, hard| {
        let limit = Rlimit {
            current: Some(soft),
            maximum: Some(hard),
        };
        setrlimit(resource, limit)
    };
    set(Resource::Core, 0, 0)?;
    set(Resource::Nofile, MAX_FILES, MAX_FILES)?;
    set(Resource::Fsize, bounds.output, bounds.output)?;
    // At the lower limit comes SIGXCPU, which tells the reason.
    set(Resource::Cpu, bounds.cpu, bounds.cpu + CPU_GRACE)?;
    // The writable memory of the process. The limit of address space would count what allocators
    // reserve and never use.
    set(Resource::Data, bounds.memory, bounds.memory)?;
    Ok(())
}

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// Nothing of the file can be read.
    #[error("{0}")]
    Refused(String),
    /// The output cannot be written.
    #[error("{0}")]
    Write(io::Error),
}

/// Reads a capture. Writes its batches.
fn read(mut file: File, output: &mut impl Write) -> Result<Summary, Failed> {
    let unreadable = |error: io::Error| Failed::Refused(format!("it cannot be read: {error}"));
    let source = source_id::of(&mut file).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    // No memory for a thread's stack: ends as if an allocation had failed.
    let input = Input::new(file, Some(length)).unwrap_or_else(|_| std::process::abort());
    let mut opened = Opened::new(input, None, Options::default())
        .map_err(|error| Failed::Refused(why(&error)))?;
    let missing = opened.missing();
    let mut window = Window::new(source, 0);
    let mut batches = Batches::new(output, missing.clone());
    let ended = loop {
        let step = opened.step(&mut window);
        for segment in window.take_closed() {
            batches.add(segment).map_err(Failed::Write)?;
        }
        if batches.sections.len() > MAX_SECTIONS {
            return Err(Failed::Refused(format!(
                "its time goes back more than {MAX_SECTIONS} times: upload its parts one by one"
            )));
        }
        match step {
            Ok(Step::More) => {}
            Ok(Step::End) => break None,
            Err(error) => break Some(error),
        }
    };
    window.close_all();
    for segment in window.take_closed() {
        batches.add(segment).map_err(Failed::Write)?;
    }
    batches.flush().map_err(Failed::Write)?;
    let position = opened.position();
    let damage = ended.map(|error| error.to_string());
    match damage {
        Some(error) if position.events == 0 => Err(Failed::Refused(format!(
            "nothing of it can be read: {error}"
        ))),
        damage => Ok(batches.summary(opened.format.name(), position, damage, missing)),
    }
}

/// What to tell whoever uploaded a file that is no capture.
fn why(error: &OpenError) -> String {
    match error {
        OpenError::Unknown => {
            "it is neither a capture (sysdig -w, Falco) nor the output of sysdig -pc -j \
             or sysdig -pc -t a"
                .to_owned()
        }
        OpenError::Read(_) | OpenError::Foreign(_) | OpenError::Empty | OpenError::Host => {
            error.to_string()
        }
    }
}

/// Writes segments as batches, and notes what they are about.
struct Batches<'a, W> {
    output: &'a mut W,
    report: AgentReport,
    waiting: Vec<Segment>,
    containers: BTreeMap<ContainerId, Found>,
    sections: Vec<(SourceId, BTreeMap<u32, Loss>)>,
}

impl<'a, W: Write> Batches<'a, W> {
    fn new(output: &'a mut W, missing: Vec<String>) -> Self {
        Self {
            output,
            report: AgentReport {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                hooks: "capture".to_owned(),
                missing,
                ..AgentReport::default()
            },
            waiting: Vec::new(),
            containers: BTreeMap::new(),
            sections: Vec::new(),
        }
    }

    fn add(&mut self, segment: Segment) -> io::Result<()> {
        self.note(&segment);
        let source = self.waiting.first().map(|first| first.key.source);
        // A section that goes back in time is a source of its own.
        if source.is_some_and(|source| source != segment.key.source)
            || self.waiting.len() >= MAX_BATCH_SEGMENTS
        {
            self.flush()?;
        }
        self.waiting.push(segment);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let segments = std::mem::take(&mut self.waiting);
        let Some(first) = segments.first() else {
            return Ok(());
        };
        let batch = Batch {
            source: first.key.source,
            agent: self.report.clone(),
            segments,
        };
        put_batch(self.output, &batch.encode())
    }

    fn note(&mut self, segment: &Segment) {
        let source = segment.key.source;
        if self.sections.last().is_none_or(|(last, _)| *last != source) {
            self.sections.push((source, BTreeMap::new()));
        }
        if let Some((_, losses)) = self.sections.last_mut() {
            for cell in &segment.losses {
                let known = losses.entry(cell.row.0).or_default();
                known.count = known.count.saturating_add(cell.value.count);
                known.bytes = known.bytes.saturating_add(cell.value.bytes);
            }
        }
        let (start, end) = (segment.key.start, segment.end());
        let id = &segment.key.container;
        let found = self.containers.entry(id.clone()).or_insert_with(|| Found {
            id: id.to_string(),
            name: String::new(),
            first: start,
            last: end,
        });
        found.first = found.first.min(start);
        found.last = found.last.max(end);
        if let Some(name) = segment.facts.get(facts::NAME) {
            found.name.clone_from(name);
        }
    }

    fn summary(
        self,
        format: &str,
        position: Position,
        damage: Option<String>,
        missing: Vec<String>,
    ) -> Summary {
        let sections = self.sections.into_iter().map(|(source, losses)| Section {
            id: source.to_string(),
            losses: losses
                .into_iter()
                .map(|(reason, loss)| RecordedLoss {
                    reason: Reason(reason).name().to_owned(),
                    count: loss.count,
                    bytes: loss.bytes,
                })
                .collect(),
        });
        Summary {
            format: format.to_owned(),
            events: position.events,
            skipped: position.skipped,
            first_ns: position.first,
            last_ns: position.last,
            damage,
            missing,
            sections: sections.collect(),
            containers_count: self.containers.len() as u64,
            containers: self.containers.into_values().take(MAX_LISTED).collect(),
        }
    }
}
