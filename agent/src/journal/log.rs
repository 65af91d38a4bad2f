//! A list of entries in a region. An entry counts once its end is noted, so a kill leaves no half of
//! one.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::region::Region;

/// Bytes before each entry: its length.
const PREFIX: usize = size_of::<u32>();

/// A part of a region that entries are appended to.
#[derive(Debug)]
pub(super) struct Log {
    region: Arc<Region>,
    /// Index of the number that says how many bytes are used.
    used: usize,
    start: usize,
    size: usize,
}

impl Log {
    /// The log in `size` bytes at `start`.
    pub(super) fn new(region: Arc<Region>, used: usize, start: usize, size: usize) -> Self {
        Self {
            region,
            used,
            start,
            size,
        }
    }

    fn used(&self) -> usize {
        let used = self.region.word(self.used).load(Acquire);
        // Another agent may have written anything.
        usize::try_from(used).map_or(self.size, |used| used.min(self.size))
    }

    /// Whether an entry of `length` bytes fits.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.size - self.used() >= PREFIX + length
    }

    /// Appends an entry, in parts. Returns false if it does not fit.
    pub(super) fn append(&mut self, parts: &[&[u8]]) -> bool {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let Ok(prefix) = u32::try_from(length) else {
            return false;
        };
        if !self.has_room(length) {
            return false;
        }
        let used = self.used();
        let mut at = self.start + used;
        for part in std::iter::once(&prefix.to_ne_bytes()[..]).chain(parts.iter().copied()) {
            self.region.write(at, part);
            at += part.len();
        }
        let used = (used + PREFIX + length) as u64;
        self.region.word(self.used).store(used, Release);
        true
    }

    /// Removes all entries.
    pub(super) fn clear(&mut self) {
        self.region.word(self.used).store(0, Release);
    }

    /// All entries.
    pub(super) fn entries(&self) -> Vec<Vec<u8>> {
        let bytes = self.region.read(self.start, self.used());
        let mut entries = Vec::new();
        let mut rest = &bytes[..];
        while let Some((prefix, behind)) = rest.split_first_chunk::<PREFIX>() {
            let length = u32::from_ne_bytes(*prefix) as usize;
            let Some((entry, behind)) = behind.split_at_checked(length) else {
                break;
            };
            entries.push(entry.to_vec());
            rest = behind;
        }
        entries
    }
}
