//! Attention: which containers somebody looks at, through any server. Agents deliver these each second.

use std::time::Duration;

use async_trait::async_trait;
use bubble_common::segment::ContainerId;

use super::error::StoreError;

/// Time after which a container that nobody notes again is no longer watched.
pub const WATCHED_TTL: Duration = Duration::from_secs(15);

/// Notes which containers are watched.
#[async_trait]
pub trait Attention: Send + Sync + 'static {
    /// Notes that somebody watches a container, for [`WATCHED_TTL`].
    async fn note_watched(&self, watched: Watched) -> Result<(), StoreError>;

    /// The containers that somebody watches, in any order.
    async fn watched(&self) -> Result<Vec<Watched>, StoreError>;
}

/// A container that somebody watches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watched {
    /// The container.
    pub container: ContainerId,
    /// The owner that it belongs to.
    pub owner: String,
    /// Its host.
    pub host: String,
}
