//! Where the report of a run goes, and the lines while it runs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bubble_common::report::Report;
use bubble_common::report::render::{Format, render};
use bubble_common::report::words::{bytes, count, number};

use super::counting::Counting;
use super::flags::Flags;
use super::user::User;

/// Variable with the file to which a step of GitHub Actions appends Markdown.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Says something to the user. Nobody may read it, which must not end the agent.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "bubble-agent: {text}");
}

/// Where the report goes.
#[derive(Debug)]
pub(super) struct Output {
    /// The file; `None`: standard error.
    file: Option<File>,
    /// The file of its HTML form.
    html: Option<File>,
}

impl Output {
    /// Opens the files before the command runs, so that a mistake costs nothing. They belong to `user`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn open(flags: &Flags, user: Option<&User>) -> Result<Self> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(|it| create(it, user)).transpose();
        Ok(Self {
            file: open(&flags.output)?,
            html: open(&flags.html)?,
        })
    }

    /// Writes the report.
    pub(super) fn write(self, flags: &Flags, report: &Report) {
        let text = render(report, flags.format());
        let written = match self.file {
            Some(mut file) => file.write_all(text.as_bytes()),
            None => io::stderr().lock().write_all(text.as_bytes()),
        };
        if let Err(error) = written {
            say(&format!("cannot write the report: {error}"));
        }
        if let Some(mut file) = self.html {
            let html = render(report, Format::Html);
            if let Err(error) = file.write_all(html.as_bytes()) {
                say(&format!("cannot write the report as HTML: {error}"));
            }
        }
        if let Some(path) = std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()) {
            let opened = OpenOptions::new().append(true).create(true).open(&path);
            let markdown = render(report, Format::Markdown);
            if let Err(error) = opened.and_then(|mut file| file.write_all(markdown.as_bytes())) {
                let path = path.to_string_lossy();
                say(&format!("cannot append the report to {path}: {error}"));
            }
        }
    }
}

/// Creates a file that belongs to `user`.
fn create(path: &Path, user: Option<&User>) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write to {}", path.display()))?;
    if let Some(user) = user {
        // It stays root's if the file system has no owners.
        let _ = std::os::unix::fs::fchown(file.as_fd(), Some(user.uid), Some(user.gid));
    }
    Ok(file)
}

/// Lines while a command runs.
#[derive(Debug)]
pub(super) struct Lines {
    every: Option<Duration>,
    began: Instant,
    /// When the next is due.
    next: Instant,
    /// CPU time at the last one, ns, and when that was.
    before: (u64, Instant),
}

impl Lines {
    /// A line every so many seconds, or none.
    pub(super) fn new(every: Option<u32>) -> Self {
        let every = every.map(|seconds| Duration::from_secs(seconds.into()));
        let now = Instant::now();
        Self {
            every,
            began: now,
            next: now + every.unwrap_or_default(),
            before: (0, now),
        }
    }

    /// Writes a line if it is due.
    pub(super) fn write(&mut self, counting: &Counting) {
        let now = Instant::now();
        let Some(every) = self.every.filter(|_| now >= self.next) else {
            return;
        };
        while self.next <= now {
            self.next += every;
        }
        let elapsed = now.duration_since(self.began).as_secs();
        let line = counting.look(|sums| {
            let cpu = sums.cpu_ns();
            let (before, at) = self.before;
            self.before = (cpu, now);
            let span = now.duration_since(at).as_nanos().max(1) as f64;
            let cores = cpu.saturating_sub(before) as f64 / span;
            let (files, network) = (&sums.file_io, &sums.network_io);
            format!(
                "{} cores, {} of memory at most, {} read, {} written, {} received, {} sent, {} processes",
                number(cores),
                bytes(sums.resident_peak.value),
                bytes(files.bytes_in),
                bytes(files.bytes_out),
                bytes(network.bytes_in),
                bytes(network.bytes_out),
                count(sums.started)
            )
        });
        let line = line.as_deref().unwrap_or("nothing yet");
        say(&format!("{elapsed} s: {line}"));
    }
}
