//! How far a waiting batch is delivered.

use tokio::time::Instant;

use crate::attention::Names;

/// What is known of a batch besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// When it was appended. `None`: by an earlier run, or it does not wait.
    pub(super) since: Option<Instant>,
    /// Whether the server may have some of it, as it was posted without a receipt.
    pub(super) attempted: bool,
    /// Containers whose segments in this batch are all stored.
    pub(super) done: Names,
    /// Number of segments that the server has.
    pub(super) delivered: u32,
}

impl Progress {
    /// That of a batch that is appended now.
    pub(super) fn begin() -> Self {
        Self {
            since: Some(Instant::now()),
            ..Self::default()
        }
    }

    /// That of a batch that an earlier run left: it may have posted it.
    pub(super) fn resume() -> Self {
        Self {
            attempted: true,
            ..Self::default()
        }
    }
}
