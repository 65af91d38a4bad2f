//! What each core did last, before it goes to the maps of sums: see `recent` of the shared types.

use std::io;

use aya::maps::{MapData, PerCpuArray};
use bubble_common::kernel::Plain as _;
use bubble_common::kernel::recent::Core;

use super::load::{LoadError, Loaded};

const WORDS: usize = size_of::<Core>() / 8;

/// The cores of this host.
pub struct Cores {
    map: PerCpuArray<MapData, [u64; WORDS]>,
}

impl Cores {
    /// Takes the map.
    ///
    /// # Errors
    /// When the kernel side has none of that size.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let map = loaded
            .ebpf
            .take_map("CORE")
            .and_then(|map| PerCpuArray::try_from(map).ok())
            .ok_or_else(|| LoadError::Missing("map CORE of this size".into()))?;
        Ok(Self { map })
    }

    /// What is there now. The entries of a generation are at rest once no program writes it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn read(&self) -> io::Result<Vec<Core>> {
        let cores = self.map.get(&0, 0).map_err(io::Error::other)?;
        Ok(cores.iter().filter_map(core).collect())
    }
}

fn core(words: &[u64; WORDS]) -> Option<Core> {
    // SAFETY: integers have no padding, and bytes no alignment.
    let bytes = unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) };
    Core::read(bytes)
}
