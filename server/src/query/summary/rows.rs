//! Rows of files and connections.

use bubble_common::segment::cell::Value;

use crate::query::ledger::{Ledger, PeerRow};
use crate::query::process::key_of;

/// The `top` rows with the highest `rank`, and the number of all rows.
pub(super) fn busiest<'r, 'a, T: Ord, V: Value>(
    rows: &'r [PeerRow<'a, T, V>],
    top: usize,
    rank: impl Fn(&V) -> (u64, u64),
) -> (Vec<&'r PeerRow<'a, T, V>>, u64) {
    let mut ranked: Vec<_> = rows.iter().collect();
    ranked.sort_by(|a, b| (rank(&b.sum), a.entry).cmp(&(rank(&a.sum), b.entry)));
    ranked.truncate(top);
    (ranked, rows.len() as u64)
}

/// Memory of [`keys`].
pub(super) fn size_of_keys(processes: &[u32]) -> usize {
    const KEY: usize = 64;
    processes.len() * KEY
}

/// Keys of the processes with these indices.
pub(super) fn keys(ledger: &Ledger<'_>, processes: &[u32]) -> Vec<String> {
    processes
        .iter()
        .map(|index| key_of(&ledger.processes[*index as usize].process))
        .collect()
}
