//! Losses of the kernel side: what its maps and ring buffers could not hold, and the use of I/O that no
//! hook counts.

use std::io;

use aya::maps::{MapData, PerCpuArray};
use bubble_common::kernel::loss::{Cause, Lost};
use bubble_common::kernel::unseen::{Kind, UnseenKey};
use bubble_common::segment::loss::{Loss, Reason};

use super::context::Context;
use super::load::{LoadError, Loaded};
use super::sums::Sums;
use crate::journal::TOTALS;
use crate::sink::Sink;

/// Running totals, by cause.
pub type Totals = [Lost; Cause::COUNT as usize];

/// The counters of losses.
pub struct Losses {
    map: PerCpuArray<MapData, [u64; 2]>,
    reported: Totals,
    unseen: Sums<UnseenKey, Lost>,
}

impl Losses {
    /// Opens the map.
    ///
    /// # Errors
    /// When the kernel side lacks it.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let unseen = Sums::open(loaded, "UNSEEN")?;
        let map = loaded.take_map("LOSSES");
        let map = map.and_then(|map| PerCpuArray::try_from(map).ok());
        Ok(Self {
            map: map.ok_or_else(|| LoadError::Missing("map LOSSES".into()))?,
            reported: [Lost::default(); Cause::COUNT as usize],
            unseen,
        })
    }

    /// Removes the sums of a generation that the kernel retains.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn clear(&mut self, generation: u64) -> io::Result<()> {
        self.unseen.clear(generation)
    }

    /// Reports the use of uncounted I/O in a generation.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn drain<S: Sink>(
        &mut self,
        generation: u64,
        context: &mut Context<'_, '_, S>,
    ) -> io::Result<()> {
        for (key, sum) in self.unseen.take(generation)? {
            if let Some(container) = context.container(key.cgroup) {
                let loss = Loss {
                    count: sum.count,
                    bytes: sum.amount,
                };
                let reason = reason_of(key.kind);
                let at = context.at_of(key.cgroup);
                context.sink.loss(at, Some(container), reason, loss);
            }
        }
        Ok(())
    }

    /// The running totals of the kernel side.
    pub fn totals(&self) -> Totals {
        std::array::from_fn(|index| {
            let cores = self.map.get(&(index as u32), 0);
            // What cannot be read counts later.
            cores.map_or(self.reported[index], |cores| {
                cores.iter().fold(Lost::default(), |sum, core| Lost {
                    count: sum.count.wrapping_add(core[0]),
                    amount: sum.amount.wrapping_add(core[1]),
                })
            })
        })
    }

    /// Continues after totals that an earlier run reported.
    pub fn resume(&mut self, reported: Totals) {
        self.reported = reported;
    }

    /// Reports what was lost since the last report, up to `totals`.
    pub fn report<S: Sink>(&mut self, at: u64, totals: &Totals, sink: &mut S) {
        for (index, (reported, now)) in self.reported.iter().zip(totals).enumerate() {
            let count = now.count.wrapping_sub(reported.count);
            if count != 0 {
                let amount = now.amount.wrapping_sub(reported.amount);
                let (reason, bytes) = reason(Cause(index as u32), amount);
                sink.loss(at, None, reason, Loss { count, bytes });
                tracing::warn!(?reason, count, amount, "the kernel side could not hold all");
            }
        }
        self.reported = *totals;
    }
}

/// Running totals, and how often programs were skipped, as the journal has them.
pub fn encode(causes: &Totals, misses: u64) -> [u64; TOTALS] {
    let mut totals = [0; TOTALS];
    for (pair, lost) in totals.chunks_exact_mut(2).zip(causes) {
        pair.copy_from_slice(&[lost.count, lost.amount]);
    }
    totals[TOTALS - 1] = misses;
    totals
}

/// The reverse of [`encode`].
pub fn decode(totals: &[u64; TOTALS]) -> (Totals, u64) {
    let causes = std::array::from_fn(|index| Lost {
        count: totals[2 * index],
        amount: totals[2 * index + 1],
    });
    (causes, totals[TOTALS - 1])
}

const _: () = assert!(2 * size_of::<Totals>() / size_of::<Lost>() < TOTALS);

/// The reason to report for uncounted I/O.
fn reason_of(kind: Kind) -> Reason {
    match kind {
        Kind::MAPPED => Reason::MAPPED_FILE,
        Kind::URING => Reason::IO_URING,
        Kind::AIO => Reason::AIO,
        _ => Reason::UNREAD_CALL,
    }
}

/// The reason to report for a cause, and the bytes of I/O that were lost.
fn reason(cause: Cause, amount: u64) -> (Reason, u64) {
    match cause {
        Cause::CPU | Cause::WAIT => (Reason::MAP_FULL, 0),
        Cause::MOVED => (Reason::UNATTRIBUTED, 0),
        Cause::RING => (Reason::RING_FULL, 0),
        Cause::PATH => (Reason::PATH_UNKNOWN, amount),
        _ => (Reason::MAP_FULL, amount),
    }
}

#[cfg(test)]
mod tests {
    use bubble_common::kernel::loss::Lost;

    use super::{decode, encode};

    #[test]
    fn noted_totals_are_read_back() {
        let causes = std::array::from_fn(|index| Lost {
            count: index as u64 + 1,
            amount: 10 * index as u64,
        });
        assert_eq!(decode(&encode(&causes, 7)), (causes, 7));
    }
}
