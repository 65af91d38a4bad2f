//! What one container did in one second, while that second is open.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use bubble_common::segment::cell::{Row, Value};
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::FileIo;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::NetworkIo;
use bubble_common::segment::process::{Cpu, Memory};
use bubble_common::segment::total::{Metric, Total};
use bubble_common::segment::wait::KINDS;

/// Capacity beyond this is freed when the second is over.
const MAX_RETAINED_CAPACITY: usize = 4_096;

/// Cells by pair of handles, or of handle and number: see [`pair`].
pub(super) type Cells<V> = HashMap<u64, V, BuildHasherDefault<PairHasher>>;

/// Hashes pairs of handles. These are our own numbers, so no attacker can choose them to collide.
#[derive(Debug, Default)]
pub(super) struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// Joins a pair to a key.
pub(super) fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) << 32 | u64::from(second)
}

/// Splits a key into its pair.
pub(super) fn unpair(key: u64) -> (u32, u32) {
    ((key >> 32) as u32, key as u32)
}

/// An event with the handle of its process.
#[derive(Debug)]
pub(super) struct OpenEvent {
    pub(super) at: u64,
    pub(super) kind: EventKind,
    pub(super) process: Option<u32>,
    pub(super) detail: String,
}

/// Everything counted in an open second.
#[derive(Debug, Default)]
pub(super) struct Second {
    /// Seconds since the Unix epoch.
    pub(super) second: u64,
    /// The container was observed in it.
    pub(super) covered: bool,
    pub(super) cpu: Cells<Cpu>,
    pub(super) memory: Cells<Memory>,
    pub(super) file_io: Cells<FileIo>,
    pub(super) network_io: Cells<NetworkIo>,
    /// Of one process each, in nanoseconds.
    pub(super) waits: HashMap<u32, [u64; KINDS]>,
    /// Of one process for one file each, in nanoseconds.
    pub(super) file_waits: Cells<u64>,
    /// Of one process for one connection each, in nanoseconds.
    pub(super) connection_waits: Cells<u64>,
    pub(super) totals: Vec<(Metric, Total)>,
    pub(super) losses: Vec<(Reason, Loss)>,
    pub(super) events: Vec<OpenEvent>,
    /// Number of events beyond the maximum.
    pub(super) folded: u64,
    /// Number of events that happened before it.
    pub(super) late_events: u64,
    /// Processes that started in it: pid and start.
    pub(super) started: HashSet<(u32, u64)>,
}

impl Second {
    pub(super) fn total(&mut self, metric: Metric, value: u64) {
        let value = Total { value };
        match self.totals.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, total)) => total.absorb(Row(metric.0, 0), &value),
            None => self.totals.push((metric, value)),
        }
    }

    pub(super) fn loss(&mut self, reason: Reason, loss: Loss) {
        match self.losses.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, known)) => known.absorb(Row(reason.0, 0), &loss),
            None => self.losses.push((reason, loss)),
        }
    }

    /// Empties it for reuse, and keeps most of its capacity.
    pub(super) fn clear(&mut self) {
        fn clear<V>(cells: &mut Cells<V>) {
            cells.clear();
            cells.shrink_to(MAX_RETAINED_CAPACITY);
        }
        clear(&mut self.cpu);
        clear(&mut self.memory);
        clear(&mut self.file_io);
        clear(&mut self.network_io);
        clear(&mut self.file_waits);
        clear(&mut self.connection_waits);
        self.waits.clear();
        self.waits.shrink_to(MAX_RETAINED_CAPACITY);
        self.totals.clear();
        self.losses.clear();
        self.events.clear();
        self.events.shrink_to(MAX_RETAINED_CAPACITY);
        self.folded = 0;
        self.late_events = 0;
        self.started.clear();
        self.started.shrink_to(MAX_RETAINED_CAPACITY);
        self.covered = false;
    }
}

/// Adds nanoseconds to those of a pair.
pub(super) fn add_wait(waits: &mut Cells<u64>, first: u32, second: u32, ns: u64) {
    let sum = waits.entry(pair(first, second)).or_default();
    *sum = sum.saturating_add(ns);
}

/// Merges `value` into the cell of a pair.
pub(super) fn absorb<V: Value>(cells: &mut Cells<V>, first: u32, second: u32, value: &V) {
    cells
        .entry(pair(first, second))
        .or_default()
        .absorb(Row(0, 0), value);
}
