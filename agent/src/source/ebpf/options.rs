//! Options of the eBPF source.

use std::path::PathBuf;

use super::hook::Family;

/// Usual folder of pins.
pub const USUAL_PINS: &str = "/sys/fs/bpf/bubble-agent";

/// Options of the eBPF source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Family of hooks. `None`: the best one that the kernel accepts.
    pub family: Option<Family>,
    /// Maximum number of (process, core) pairs in a second.
    pub cpu_sums: u32,
    /// Size of the ring buffer in bytes: a power of two.
    pub ring_bytes: u32,
    /// Folder in a BPF file system in which the programs are pinned. `None`: they are not.
    pub pins: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            family: None,
            cpu_sums: 16_384,
            ring_bytes: 4 * 1024 * 1024,
            pins: None,
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
