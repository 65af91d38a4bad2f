//! The progress of reading: a bar on a terminal, and nothing elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::source::recording::Position;

/// Shortest time between two updates of the bar.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);

/// The bar.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    shown: Instant,
}

impl Progress {
    /// A bar for a recording called `name`, on standard error if that is a terminal.
    pub(super) fn new(name: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_prefix(name.to_owned());
        Self {
            bar,
            shown: Instant::now(),
        }
    }

    /// Shows a position.
    pub(super) fn show(&mut self, position: Position) {
        if self.bar.is_hidden() || self.shown.elapsed() < UPDATE_INTERVAL {
            return;
        }
        self.shown = Instant::now();
        // The size of a pipe is not known.
        let template = match position.total {
            Some(total) => {
                self.bar.set_length(total.max(position.bytes));
                "{prefix} {wide_bar} {percent}% {binary_bytes_per_sec} {msg}, {eta} left"
            }
            None => "{prefix} {spinner} {binary_bytes} at {binary_bytes_per_sec}, {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_message(format!("{} events", position.events));
        self.bar.set_position(position.bytes);
    }

    /// Removes the bar.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}
