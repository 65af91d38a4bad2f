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
use crate::sink::Sink;

/// The counters of losses.
pub struct Losses {
    map: PerCpuArray<MapData, [u64; 2]>,
    reported: [Lost; Cause::COUNT as usize],
    unseen: Sums<UnseenKey, Lost>,
}

impl Losses {
    /// Opens the map.
    ///
    /// # Errors
    /// When the kernel side lacks it.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let unseen = Sums::open(loaded, "UNSEEN")?;
        let map = loaded.ebpf.take_map("LOSSES");
        let map = map.and_then(|map| PerCpuArray::try_from(map).ok());
        Ok(Self {
            map: map.ok_or_else(|| LoadError::Missing("map LOSSES".into()))?,
            reported: [Lost::default(); Cause::COUNT as usize],
            unseen,
        })
    }

    /// Reports the use of uncounted I/O in a generation, and the losses since the last drain.
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
                context.sink.loss(context.at, Some(container), reason, loss);
            }
        }
        self.drain_causes(context.at, context.sink);
        Ok(())
    }

    fn drain_causes<S: Sink>(&mut self, at: u64, sink: &mut S) {
        for (index, reported) in self.reported.iter_mut().enumerate() {
            let cause = Cause(index as u32);
            let Ok(cores) = self.map.get(&cause.0, 0) else {
                continue;
            };
            let now = cores.iter().fold(Lost::default(), |sum, core| Lost {
                count: sum.count.wrapping_add(core[0]),
                amount: sum.amount.wrapping_add(core[1]),
            });
            let count = now.count.wrapping_sub(reported.count);
            if count != 0 {
                let amount = now.amount.wrapping_sub(reported.amount);
                let (reason, bytes) = reason(cause, amount);
                sink.loss(at, None, reason, Loss { count, bytes });
                tracing::warn!(?reason, count, amount, "the kernel side could not hold all");
            }
            *reported = now;
        }
    }
}

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
        Cause::CPU => (Reason::MAP_FULL, 0),
        Cause::RING => (Reason::RING_FULL, 0),
        Cause::PATH => (Reason::PATH_UNKNOWN, amount),
        _ => (Reason::MAP_FULL, amount),
    }
}
