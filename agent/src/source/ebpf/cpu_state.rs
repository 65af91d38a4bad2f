//! The state of each core: its last-used sums, which are not in the maps yet. See `cpu_state` of
//! the shared types.

use std::io;

use aya::maps::{MapData, PerCpuArray};
use bubble_common::kernel::Plain as _;
use bubble_common::kernel::cpu_state::CpuState;

use super::load::{LoadError, Loaded};

const WORDS: usize = size_of::<CpuState>() / 8;

/// The states of all cores.
pub struct CpuStates {
    map: PerCpuArray<MapData, [u64; WORDS]>,
}

impl CpuStates {
    /// Takes the map.
    ///
    /// # Errors
    /// When the kernel side has no map of that size.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let map = loaded
            .take_map("CPU_STATE")
            .and_then(|map| PerCpuArray::try_from(map).ok())
            .ok_or_else(|| LoadError::Missing("map CPU_STATE of this size".into()))?;
        Ok(Self { map })
    }

    /// A copy of all states. The entries of a generation are final once no program writes them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn read(&self) -> io::Result<Vec<CpuState>> {
        let cores = self.map.get(&0, 0).map_err(io::Error::other)?;
        Ok(cores.iter().filter_map(decode).collect())
    }
}

fn decode(words: &[u64; WORDS]) -> Option<CpuState> {
    // SAFETY: integers have no padding, and bytes no alignment.
    let bytes = unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) };
    CpuState::read(bytes)
}
