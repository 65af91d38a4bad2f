//! A pair of maps: one is written while the other is read. See `generation` on the kernel side.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use bubble_common::kernel::Plain;

use super::bpf::Entries;
use super::load::{LoadError, Loaded};

/// Sums of one kind, in two generations.
pub struct Sums<K, V> {
    maps: [OwnedFd; 2],
    entries: Entries<K, V>,
    /// The kernel retains the sums until [`Self::clear`].
    retained: bool,
}

/// Maximum number of entries taken in one second: a guard, as no map is that large.
const MAX_ENTRIES: usize = 1 << 22;

impl<K: Plain + Default, V: Plain + Default> Sums<K, V> {
    /// The pair of maps `NAME_0` and `NAME_1`.
    ///
    /// # Errors
    /// When the kernel side has no such hash maps.
    pub fn open(loaded: &Loaded, name: &str) -> Result<Self, LoadError> {
        Ok(Self {
            maps: [
                loaded.hash::<K, V>(&format!("{name}_0"))?,
                loaded.hash::<K, V>(&format!("{name}_1"))?,
            ],
            entries: Entries::new(),
            retained: loaded.is_pinned(),
        })
    }

    /// All entries of a generation that is no longer written. They are taken out of the map, unless the
    /// kernel retains them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn take(&mut self, generation: u64) -> io::Result<impl Iterator<Item = (&K, &V)>> {
        self.entries.shrink();
        let map = self.maps[generation as usize & 1].as_fd();
        if self.retained {
            self.entries.copy_all(map, MAX_ENTRIES)?;
        } else {
            self.entries.take_all(map, MAX_ENTRIES)?;
        }
        Ok(self.entries.iter())
    }

    /// Removes the sums of a generation that the kernel retains.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn clear(&mut self, generation: u64) -> io::Result<()> {
        let map = self.maps[generation as usize & 1].as_fd();
        self.entries.take_all(map, MAX_ENTRIES)
    }
}
