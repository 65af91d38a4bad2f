//! The index of containers: what a list shows, without reading a segment.

use async_trait::async_trait;
use bubble_common::segment::ContainerId;

use super::container::{Container, State};
use super::error::StoreError;

/// Reads the index.
#[async_trait]
pub trait Index: Send + Sync + 'static {
    /// A container by its id.
    async fn container(&self, id: &ContainerId) -> Result<Option<Container>, StoreError>;

    /// A page of the index of containers.
    async fn containers(&self, filter: &ContainerFilter) -> Result<ContainerPage, StoreError>;
}

/// Sort key of a list of containers; descending, except for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// When it was last seen.
    #[default]
    Activity,
    /// Its name, or its id if it has no name.
    Name,
    /// CPU time over its life.
    Cpu,
    /// Highest memory in use.
    Memory,
    /// Bytes in and out over its life.
    Bytes,
}

impl Sort {
    /// The key with this name in the API; empty for the default.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "" | "activity" => Self::Activity,
            "name" => Self::Name,
            "cpu" => Self::Cpu,
            "memory" => Self::Memory,
            "bytes" => Self::Bytes,
            _ => return None,
        })
    }

    /// The column of the list that it sorts by.
    pub fn column(self) -> &'static str {
        match self {
            Self::Activity => "last_seen",
            Self::Name => "name",
            Self::Cpu => "cpu_ns",
            Self::Memory => "memory_peak",
            Self::Bytes => "bytes",
        }
    }
}

/// Filter, order and page of a list of containers.
#[derive(Debug, Clone, Default)]
pub struct ContainerFilter {
    /// Substring of the id, name, image, host, a label or the name of a recording; ignores case.
    pub search: Option<String>,
    /// Name of the host.
    pub host: Option<String>,
    /// Its state at `now`.
    pub state: Option<State>,
    /// Seconds since the Unix epoch.
    pub now: u64,
    /// The order; ties by id.
    pub sort: Sort,
    /// Containers on the page at most.
    pub limit: usize,
    /// Containers to skip first.
    pub offset: usize,
}

/// A page of a list of containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPage {
    /// The containers of this page.
    pub containers: Vec<Container>,
    /// Containers on all pages.
    pub total: u64,
}
