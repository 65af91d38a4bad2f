//! What the kernel side could not hold, as it grows.

use aya::maps::{MapData, PerCpuArray};
use bubble_common::kernel::loss::{Cause, Lost};
use bubble_common::segment::loss::{Loss, Reason};

use super::load::{LoadError, Loaded};
use crate::sink::Sink;

/// The counters of losses.
pub struct Losses {
    map: PerCpuArray<MapData, [u64; 2]>,
    told: [Lost; Cause::COUNT as usize],
}

impl Losses {
    /// Takes the map.
    ///
    /// # Errors
    /// When the kernel side has none.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let map = loaded.ebpf.take_map("LOSSES");
        let map = map.and_then(|map| PerCpuArray::try_from(map).ok());
        Ok(Self {
            map: map.ok_or_else(|| LoadError::Missing("map LOSSES".into()))?,
            told: [Lost::default(); Cause::COUNT as usize],
        })
    }

    /// Passes on what was lost since the last time.
    pub fn drain<S: Sink>(&mut self, at: u64, sink: &mut S) {
        for (index, told) in self.told.iter_mut().enumerate() {
            let cause = Cause(index as u32);
            let Ok(cores) = self.map.get(&cause.0, 0) else {
                continue;
            };
            let now = cores.iter().fold(Lost::default(), |sum, core| Lost {
                count: sum.count.wrapping_add(core[0]),
                amount: sum.amount.wrapping_add(core[1]),
            });
            let count = now.count.wrapping_sub(told.count);
            if count != 0 {
                let amount = now.amount.wrapping_sub(told.amount);
                let (reason, bytes) = reason(cause, amount);
                sink.loss(at, None, reason, Loss { count, bytes });
                tracing::warn!(?reason, count, amount, "the kernel side could not hold all");
            }
            *told = now;
        }
    }
}

/// What is said of a cause, and how many bytes of I/O it cost.
fn reason(cause: Cause, amount: u64) -> (Reason, u64) {
    match cause {
        Cause::CPU => (Reason::MAP_FULL, 0),
        Cause::RING => (Reason::RING_FULL, 0),
        Cause::PATH => (Reason::PATH_UNKNOWN, amount),
        _ => (Reason::MAP_FULL, amount),
    }
}
