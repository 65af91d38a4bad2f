//! The answer to a post.

use serde::Serialize;

/// Result of a batch. It accounts for every segment: each is stored, known or refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Receipt {
    /// Segments that were new, and are stored now.
    pub stored: u64,
    /// Segments that were stored before; they count once.
    pub known: u64,
    /// Segments that are not stored.
    pub refused: Vec<Refusal>,
    /// The server's clock, seconds since the Unix epoch.
    pub time: u64,
}

/// A segment that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Refusal {
    /// Its container.
    pub container: String,
    /// Start of its span, seconds since the Unix epoch.
    pub start: u64,
    /// Its resolution.
    pub resolution: &'static str,
    /// Why.
    pub reason: String,
    /// Whether the same segment may be taken later, such as when a clock is set right. If not, it is
    /// refused for good.
    pub later: bool,
}
