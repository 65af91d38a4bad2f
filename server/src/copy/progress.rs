//! Progress of a copy: a bar on a terminal, otherwise a line now and then.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shortest interval between lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the progress of a copy on standard error.
pub struct Progress {
    bar: ProgressBar,
    /// When the last line was written; `None` on a terminal.
    line: Option<Mutex<Instant>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// A bar, if standard error is a terminal.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let template = "{prefix} {wide_bar} {pos} of {len} containers, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let terminal = std::io::stderr().is_terminal();
        let line = (!terminal).then(|| Mutex::new(Instant::now()));
        Self { bar, line }
    }

    /// Starts a phase with this number of containers.
    pub(super) fn begin(&self, doing: &'static str, containers: u64) {
        self.bar.reset();
        self.bar.set_prefix(doing);
        self.bar.set_length(containers);
    }

    /// Counts one finished container.
    pub(super) fn step(&self) {
        self.bar.inc(1);
        let Some(line) = &self.line else {
            return;
        };
        let mut last = line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= LINE_INTERVAL {
            *last = Instant::now();
            let (doing, finished) = (self.bar.prefix(), self.bar.position());
            let all = self.bar.length().unwrap_or(0);
            eprintln!("{doing}: {finished} of {all} containers");
        }
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
