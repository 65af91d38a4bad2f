//! How far a copy is: a bar on a terminal, and now and then a line where there is none.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often there is a line.
const LINE: Duration = Duration::from_secs(10);

/// Shows how far a copy is, on standard error.
pub struct Progress {
    bar: ProgressBar,
    /// When the last line was written; none on a terminal.
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

    /// Begins with so many containers.
    pub(super) fn begin(&self, doing: &'static str, containers: u64) {
        self.bar.reset();
        self.bar.set_prefix(doing);
        self.bar.set_length(containers);
    }

    /// One container more is done.
    pub(super) fn step(&self) {
        self.bar.inc(1);
        let Some(line) = &self.line else {
            return;
        };
        let mut last = line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= LINE {
            *last = Instant::now();
            let (doing, done) = (self.bar.prefix(), self.bar.position());
            let all = self.bar.length().unwrap_or(0);
            eprintln!("{doing}: {done} of {all} containers");
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
