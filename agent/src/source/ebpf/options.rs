//! Options of the eBPF source.

use super::hook::Family;

/// Options of the eBPF source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Family of hooks. `None`: the best one that the kernel accepts.
    pub family: Option<Family>,
    /// Maximum number of (process, core) pairs in a second.
    pub cpu_sums: u32,
    /// Size of the ring buffer in bytes: a power of two.
    pub ring_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            family: None,
            cpu_sums: 16_384,
            ring_bytes: 4 * 1024 * 1024,
        }
    }
}

impl Options {
    /// Sizes of maps that replace those of the object.
    pub(super) fn map_entries(&self) -> Vec<(&'static str, u32)> {
        vec![
            ("CPU_0", self.cpu_sums),
            ("CPU_1", self.cpu_sums),
            ("EVENTS", self.ring_bytes),
        ]
    }
}
