//! Blocks, the outer form of a capture: a type, a length, a body, and the length again.
//!
//! It is the form of pcapng. There is no end marker: a capture may end after any block.

use crate::recording::Error;

/// The magic number of the section header, which shows the order of bytes.
pub(super) const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Bytes of a block that are not its body.
const FRAME: usize = 12;
/// Longest block that is accepted: the list of all threads of a large host has a tenth of it.
const MAX_LENGTH: usize = 64 * 1024 * 1024;

/// Bytes of the shortest entry of a list of interfaces: type, address, mask, broadcast and speed, and no name.
const MIN_INTERFACE: usize = 24;

/// The kind of a block. The first versions had other numbers for the same kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A capture begins here; several may follow one another.
    Section,
    /// The machine.
    Machine,
    /// Threads that were there at the beginning, in the form of this version (1 to 9).
    Threads(u8),
    /// Descriptors of a thread; `sized`: entries carry their length.
    Descriptors { sized: bool },
    /// Addresses of the machine; `sized`: entries carry their length.
    Interfaces { sized: bool },
    /// An event.
    Event(EventForm),
    /// The interface of a network capture.
    Link,
    /// A packet of a network capture.
    Packet,
    /// Not needed here: users, comments, names of addresses.
    Other,
    /// Of the numbers of captures, and newer than this reader.
    Unknown(u32),
}

/// The layout of an event block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventForm {
    /// Flags come before the event.
    pub(super) flags: bool,
    /// The event says how many parameters it has.
    pub(super) counted: bool,
}

/// A block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) kind: Kind,
    /// The body, with its padding.
    pub(super) body: &'a [u8],
    /// Bytes that the whole block takes.
    pub(super) length: usize,
}

impl Kind {
    #[inline]
    fn of(number: u32) -> Self {
        let event = |flags, counted| Self::Event(EventForm { flags, counted });
        match number {
            0x216 | 0x221 => event(false, true),
            0x217 | 0x222 => event(true, true),
            0x204 | 0x8010_abcd => event(false, false),
            0x208 => event(true, false),
            0x0a0d_0d0a => Self::Section,
            0x201 | 0x8002_abcd => Self::Machine,
            0x202 | 0x8000_abcd => Self::Threads(1),
            0x207 | 0x8013_abcd => Self::Threads(2),
            0x209 | 0x8014_abcd => Self::Threads(3),
            0x210..=0x215 => Self::Threads((number - 0x210) as u8 + 4),
            0x203 | 0x8001_abcd => Self::Descriptors { sized: false },
            0x218 => Self::Descriptors { sized: true },
            0x206 | 0x8012_abcd | 0x220 => Self::Other,
            0x205 | 0x8011_abcd => Self::Interfaces { sized: false },
            0x219 => Self::Interfaces { sized: true },
            // Those of pcapng. Stratoshark and Wireshark may add them to a capture of system calls.
            1 => Self::Link,
            2 | 3 | 6 => Self::Packet,
            0x200..=0x2ff => Self::Unknown(number),
            _ => Self::Other,
        }
    }
}

/// The first section of a capture, which begins with `head`, shows whether the bytes of
/// its numbers are in another order.
fn is_big_endian(head: &[u8]) -> bool {
    let section = [0x0a, 0x0d, 0x0d, 0x0a];
    head.starts_with(&section) && head.get(8..12) == Some(&BYTE_ORDER.to_be_bytes())
}

/// The block at the beginning of `data`, which is at `offset` in the capture; `None` while a
/// part of it is missing.
///
/// # Errors
/// When the bytes cannot be a block.
#[inline]
pub(super) fn next(data: &[u8], offset: u64) -> Result<Option<Block<'_>>, Error> {
    let Some((head, _)) = data.split_first_chunk::<8>() else {
        return Ok(None);
    };
    if is_big_endian(data) {
        return Err(Error::Format(
            "it was recorded on a big-endian machine".to_owned(),
        ));
    }
    let [k0, k1, k2, k3, l0, l1, l2, l3] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if !(FRAME..=MAX_LENGTH).contains(&length) {
        return Err(damaged(offset, format!("a block of {length} bytes")));
    }
    let Some(whole) = data.get(..length) else {
        return Ok(None);
    };
    let kind = Kind::of(u32::from_le_bytes([k0, k1, k2, k3]));
    if whole[length - 4..] == [l0, l1, l2, l3] {
        let body = &whole[8..length - 4];
        return Ok(Some(Block { kind, body, length }));
    }
    let differ = || damaged(offset, "the two lengths of a block differ".to_owned());
    if kind != (Kind::Interfaces { sized: true }) {
        return Err(differ());
    }
    let Some(length) = length_of_interfaces(data, length).ok_or_else(differ)? else {
        return Ok(None);
    };
    let body = data.get(8..length - 4).unwrap_or_default();
    Ok(Some(Block { kind, body, length }))
}

/// The real length of a list of interfaces that `sysdig -w` has rewritten from a capture without lengths of
/// entries: both lengths of its block leave out those lengths (seen with sysdig 0.29.3, which cannot read
/// it either). `None`: it is not such a list. `Some(None)`: a part of it is missing.
fn length_of_interfaces(data: &[u8], length: usize) -> Option<Option<usize>> {
    let number = |at: usize| data.get(at..)?.first_chunk::<4>().copied();
    let (mut at, mut left) = (8, length - FRAME);
    // Less than four bytes are padding.
    while left >= 4 {
        let Some(entry) = number(at) else {
            return Some(None);
        };
        let entry = u32::from_le_bytes(entry) as usize;
        if entry < MIN_INTERFACE {
            return None;
        }
        left = left.checked_sub(entry)?;
        at += 4 + entry;
    }
    at += left;
    let Some(end) = number(at) else {
        return Some(None);
    };
    (u32::from_le_bytes(end) as usize == length).then_some(Some(at + 4))
}

pub(super) fn damaged(at: u64, why: String) -> Error {
    Error::Damaged { at, why }
}

#[cfg(test)]
mod tests {
    use super::{Kind, next};

    /// A list of two interfaces, whose block says this length.
    fn interfaces(length: u32) -> Vec<u8> {
        let mut block = 0x219_u32.to_le_bytes().to_vec();
        block.extend(length.to_le_bytes());
        for name in ["lo", "eth0"] {
            block.extend((24 + name.len() as u32).to_le_bytes());
            block.extend([0; 24]);
            block.extend(name.bytes());
        }
        // Padding.
        block.extend([0; 2]);
        block.extend(length.to_le_bytes());
        block
    }

    #[test]
    fn a_rewritten_list_of_interfaces_says_too_little() {
        let whole = interfaces(0).len();
        let right = interfaces(whole as u32);
        let block = next(&right, 0).unwrap().unwrap();
        assert_eq!((block.length, block.body.len()), (whole, whole - 12));

        let short = interfaces(whole as u32 - 8);
        let block = next(&short, 0).unwrap().unwrap();
        assert_eq!(block.kind, Kind::Interfaces { sized: true });
        assert_eq!((block.length, block.body.len()), (whole, whole - 12));
        for part in 0..whole {
            assert!(next(&short[..part], 0).unwrap().is_none(), "{part} bytes");
        }
    }

    #[test]
    fn other_wrong_lengths_are_damage() {
        let whole = interfaces(0).len() as u32;
        for length in [whole - 4, whole - 12] {
            assert!(next(&interfaces(length), 0).is_err(), "{length}");
        }
        let mut other = interfaces(whole - 8);
        other[..4].copy_from_slice(&0x201_u32.to_le_bytes());
        assert!(next(&other, 0).is_err());
        let mut entry = interfaces(whole - 8);
        entry[8..12].copy_from_slice(&3_u32.to_le_bytes());
        assert!(next(&entry, 0).is_err());
    }
}
