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
    let body = &whole[8..length - 4];
    if whole[length - 4..] != [l0, l1, l2, l3] {
        return Err(damaged(
            offset,
            "the two lengths of a block differ".to_owned(),
        ));
    }
    Ok(Some(Block {
        kind: Kind::of(u32::from_le_bytes([k0, k1, k2, k3])),
        body,
        length,
    }))
}

pub(super) fn damaged(at: u64, why: String) -> Error {
    Error::Damaged { at, why }
}
