//! The entries in which a core keeps what it did lately, before it goes to the maps: some for each
//! generation of the sums and each direction, so that few processes with few files or connections
//! each share a core without the maps.

use core::ops::Range;

/// Entries of a generation and direction.
const SLOTS: u32 = 16;
/// Entries of such a map.
pub const COUNT: u32 = 4 * SLOTS;

/// A generation of the sums, and a direction (0 in, 1 out), as one number.
pub const fn side(second: bool, direction: u32) -> u32 {
    (second as u32) * 2 + (direction & 1)
}

/// The entry of a [`side`] for what has this hash.
pub const fn index(side: u32, hash: u64) -> u32 {
    (side & 3) * SLOTS + hash as u32 % SLOTS
}

/// The entries of a [`side`].
pub const fn entries(side: u32) -> Range<u32> {
    index(side, 0)..index(side, 0) + SLOTS
}

#[cfg(test)]
mod tests {
    use super::{COUNT, entries, index, side};

    #[test]
    fn sides_share_no_entry_and_leave_none_out() {
        let sides = [(false, 0), (false, 1), (true, 0), (true, 1)];
        let all: Vec<u32> = sides
            .into_iter()
            .flat_map(|(second, direction)| entries(side(second, direction)))
            .collect();
        assert_eq!(all, (0..COUNT).collect::<Vec<_>>());
        assert!(entries(3).contains(&index(3, u64::MAX)));
    }
}
