//! The tables of all fields whose offsets the agent looks up.

use super::file::{FileOffsets, UringOffsets};
use super::network::NetworkOffsets;
use super::offsets::{Field, MAX_FIELDS};
use super::syscall::RegisterOffsets;
use super::task::TaskOffsets;
use super::wait::{IN_IOWAIT, WaitOffsets};

/// Each table, with the number of its first field.
pub const TABLES: [(u32, &[Field]); 6] = [
    (TaskOffsets::FIRST, TaskOffsets::FIELDS),
    (FileOffsets::FIRST, FileOffsets::FIELDS),
    (UringOffsets::FIRST, UringOffsets::FIELDS),
    (NetworkOffsets::FIRST, NetworkOffsets::FIELDS),
    (RegisterOffsets::FIRST, RegisterOffsets::FIELDS),
    (WaitOffsets::FIRST, WaitOffsets::FIELDS),
];

// No two fields share a number.
const _: () = {
    let mut n = 1;
    while n < TABLES.len() {
        assert!(TABLES[n - 1].0 + TABLES[n - 1].1.len() as u32 <= TABLES[n].0);
        n += 1;
    }
    assert!(TABLES[n - 1].0 + TABLES[n - 1].1.len() as u32 <= IN_IOWAIT && IN_IOWAIT < MAX_FIELDS);
};
