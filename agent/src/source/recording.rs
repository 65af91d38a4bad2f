//! Recorded sources: what was written down elsewhere, and is read here at our own pace.
//!
//! A recording (a capture, what sysdig printed) is stepped through until it ends. A
//! step never waits for more than the next piece of input, so that the same code
//! serves a file and a pipe from a sysdig that is running now. Damaged input is
//! ordinary: what came before the damage stays accounted, and the error says where
//! and why reading ended.

pub mod input;

use crate::clock::SECOND;
use crate::sink::Sink;

/// How far behind the latest event the sink is told that a time is over, in ns. Captures
/// are merged from the buffers of several cores, and events step back by far less.
pub const SLACK: u64 = 200_000_000;

/// Something recorded that can be read once, from its beginning.
pub trait Recording {
    /// Takes in the next piece (at most [`input::PIECE`] bytes, or what a live stream has
    /// now), and tells the sink how far time has come.
    ///
    /// # Errors
    /// When reading cannot go on. All before the place was accounted and the sink was told of
    /// the end as by [`Step::End`]; nothing more comes from this recording.
    fn step<S: Sink>(&mut self, sink: &mut S) -> Result<Step, Error>;

    /// How far it has come.
    fn position(&self) -> Position;
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There may be more.
    More,
    /// That was all, and it was whole.
    End,
}

/// How far a recording has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Bytes of the input (of the file, so before decompression) that were read.
    pub bytes: u64,
    /// Bytes that the input has, where that is known.
    pub total: Option<u64>,
    /// Events (lines, for text) that were taken in.
    pub events: u64,
    /// Events that were passed over, as this version does not know their type or could not
    /// make sense of them.
    pub skipped: u64,
    /// When the first event was: ns since the Unix epoch.
    pub first: Option<u64>,
    /// When the latest event was: ns since the Unix epoch.
    pub last: Option<u64>,
}

/// Tells the sink that a recording begins at `first`, and gives a moment before that which the
/// sink takes nothing of: when processes started that were there already.
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
    /// It is not of this format at all.
    #[error("not a recording that can be read: {0}")]
    Format(String),
    /// It ends in the middle of something.
    #[error("cut short at byte {at}, within {within}")]
    Cut {
        /// Where what was cut began.
        at: u64,
        /// What was cut.
        within: String,
    },
    /// Its content cannot be.
    #[error("damaged at byte {at}: {why}")]
    Damaged {
        /// Where.
        at: u64,
        /// What is wrong there.
        why: String,
    },
}

impl Position {
    /// Notes an event at `at`.
    pub fn event(&mut self, at: u64) {
        self.events += 1;
        self.first = self.first.or(Some(at));
        self.last = self.last.max(Some(at));
    }
}
