//! A list of bounded length, which retains the busiest entries.

use std::collections::HashMap;
use std::hash::Hash;

use crate::segment::file::FileIo;
use crate::segment::network::NetworkIo;
use crate::segment::wait::{UNIT, Waits};

/// Entries that a list is cut to, when it has twice as many.
const RETAINED_ENTRIES: usize = 10_000;

/// How busy an entry was, to choose those that are retained.
pub trait Activity {
    /// More is busier.
    fn activity(&self) -> u64;
}

impl Activity for FileIo {
    fn activity(&self) -> u64 {
        let bytes = self.bytes_in.saturating_add(self.bytes_out) / 4_096;
        let calls = [self.ops_in, self.ops_out, self.opens, self.mapped_pages];
        sum([bytes, sum(calls), self.waited])
    }
}

impl Activity for NetworkIo {
    fn activity(&self) -> u64 {
        let bytes = self.bytes_in.saturating_add(self.bytes_out) / 4_096;
        let calls = [self.ops_in, self.ops_out, self.connects, self.failures];
        sum([bytes, sum(calls), self.waited])
    }
}

impl Activity for Waits {
    /// As much as if it had run meanwhile: without it, it would have.
    fn activity(&self) -> u64 {
        let waited = sum([self.core, self.disk, self.network]);
        waited.saturating_mul(UNIT / 1_000)
    }
}

/// A list of bounded length.
#[derive(Debug)]
pub struct Busiest<K, V> {
    entries: HashMap<K, V>,
    /// Entries that were cut.
    pub dropped: u64,
}

impl<K, V> Default for Busiest<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            dropped: 0,
        }
    }
}

impl<K: Eq + Hash + Clone + Ord, V: Activity + Default> Busiest<K, V> {
    /// The entry of `key`, which is added if it is new.
    pub(super) fn entry(&mut self, key: K) -> &mut V {
        if self.entries.len() >= 2 * RETAINED_ENTRIES && !self.entries.contains_key(&key) {
            let idle = self.sorted().into_iter().skip(RETAINED_ENTRIES);
            let idle: Vec<K> = idle.map(|(key, _)| key.clone()).collect();
            self.dropped += idle.len() as u64;
            for key in idle {
                self.entries.remove(&key);
            }
        }
        self.entries.entry(key).or_default()
    }

    /// The entry of `key`, if it was retained.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// All entries, the busiest first.
    pub fn sorted(&self) -> Vec<(&K, &V)> {
        let mut sorted: Vec<(&K, &V)> = self.entries.iter().collect();
        sorted.sort_by(|a, b| (b.1.activity(), a.0).cmp(&(a.1.activity(), b.0)));
        sorted
    }

    /// The number of all entries, with those that were cut.
    pub fn count(&self) -> u64 {
        self.entries.len() as u64 + self.dropped
    }
}

/// The sum of `numbers`, which saturates.
pub(super) fn sum<const N: usize>(numbers: [u64; N]) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}
