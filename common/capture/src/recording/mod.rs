//! Recorded sources: captures, and output of sysdig.
//!
//! A recording is stepped through until it ends. A step waits for the next piece of input at
//! most, so that the same code serves a file and a pipe from a running sysdig. Damaged input is
//! ordinary: everything before the damage counts, and the error says where and why reading
//! ended.
//!
//! The rules of accounting that both formats share are here, once: `cores` for CPU time, `io`
//! for descriptors, `process` for exits and memory.

pub(crate) mod cores;
pub mod input;
pub(crate) mod io;
pub(crate) mod process;

use crate::sink::Sink;
use crate::time::SECOND;

/// How far behind the latest event seconds are closed, in ns. Captures are merged from the
/// buffers of several cores; their events step back by far less.
pub const SLACK: u64 = 200_000_000;

/// Longest time between an event and the latest one before it, in ns. A later event is damaged:
/// it would end all seconds before it.
pub const MAX_GAP: u64 = 30 * 86_400 * SECOND;
/// Longest time without an event, in seconds, in which containers count as observed. A longer
/// one is a gap, and nobody knows which threads ran in it. A sink holds as many seconds open.
pub const MAX_QUIET_SECONDS: u64 = 120;

/// A recording, which can be read once, from its beginning.
pub trait Recording {
    /// Takes in the next piece (at most [`input::MAX_PIECE`] bytes, or what a live stream has
    /// now), and advances the sink's time.
    ///
    /// # Errors
    /// When reading cannot go on. Everything before the damage was counted, and the sink was
    /// advanced to the end as for [`Step::End`]. Later steps return [`Step::End`].
    fn step<S: Sink>(&mut self, sink: &mut S) -> Result<Step, Error>;

    /// How far it has come.
    fn position(&self) -> Position;
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There may be more.
    More,
    /// The recording has ended, and was whole.
    End,
}

/// How far a recording has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Bytes of the input that were read, before decompression.
    pub bytes: u64,
    /// Size of the input in bytes, if it is known.
    pub total: Option<u64>,
    /// Events (lines, for text) that were taken in.
    pub events: u64,
    /// Events that were skipped: of an unknown type, or damaged.
    pub skipped: u64,
    /// Time of the first event: ns since the Unix epoch.
    pub first: Option<u64>,
    /// Time of the latest event: ns since the Unix epoch.
    pub last: Option<u64>,
}

/// Opens the sink's first second, for a recording that begins at `first`. Returns the start
/// time for processes that were there before: a moment that the sink counts nothing of.
pub fn begin<S: Sink>(first: u64, sink: &mut S) -> u64 {
    let open = first.saturating_sub(SLACK) / SECOND * SECOND;
    sink.advance(open);
    open.saturating_sub(1)
}

/// Why a recording ended early. Offsets count bytes of the content, after decompression.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be opened or read.
    #[error("cannot read the recording: {0}")]
    Read(#[from] std::io::Error),
    /// It has another format.
    #[error("not a recording that can be read: {0}")]
    Format(String),
    /// It ends in the middle of something.
    #[error("cut short at byte {at}, within {within}")]
    Truncated {
        /// Where the incomplete part began.
        at: u64,
        /// The kind of the incomplete part.
        within: String,
    },
    /// Its content is invalid.
    #[error("damaged at byte {at}: {why}")]
    Damaged {
        /// The offset of the damage.
        at: u64,
        /// The problem.
        why: String,
    },
}

impl Position {
    /// Notes an event at `at`. `None`: its time does not count, as it is another one than that
    /// of the recording.
    pub fn event(&mut self, at: Option<u64>) {
        self.events += 1;
        if let Some(at) = at {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
            self.last = self.last.max(Some(at));
        }
    }
}
