//! Levels of compression.

/// How hard the encoder compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// No compression: for segments in a batch, which is compressed as a whole.
    Raw,
    /// Fast: for live seconds and posts, which are stored for a minute.
    Fast,
    /// Small: for packed rows, which are stored for long.
    Small,
}

impl Effort {
    /// The level of zstd. `None`: no compression.
    pub(super) const fn level(self) -> Option<i32> {
        match self {
            Self::Raw => None,
            Self::Fast => Some(1),
            Self::Small => Some(9),
        }
    }
}
