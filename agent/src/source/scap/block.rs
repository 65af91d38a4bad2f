//! Blocks, the outer form of a capture: a type, a length, a body, and the length again.
//!
//! It is pcapng's form. There is no end marker: a capture may end after any block.

use super::super::recording::Error;

/// Bytes of a block that are not its body.
const FRAME: usize = 12;
/// Longest block that is believed: the list of all threads of a large host is a tenth of it.
const LONGEST: usize = 64 * 1024 * 1024;

/// What a block is: the numbers in use, and those of the first versions for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A capture begins here; several may follow one another.
    Section,
    /// The machine.
    Machine,
    /// Threads that were there at the beginning, in the form of this version (1 to 9).
    Threads(u8),
    /// Descriptors of a thread; whether entries carry their length.
    Descriptors { sized: bool },
    /// Addresses of the machine; whether entries carry their length.
    Interfaces { sized: bool },
    /// An event.
    Event(EventForm),
    /// Of no use here, users among them, or newer than this.
    Other,
}

/// How an event block is laid out.
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
            0x205 | 0x8011_abcd => Self::Interfaces { sized: false },
            0x219 => Self::Interfaces { sized: true },
            _ => Self::Other,
        }
    }
}

/// The block at the beginning of `data`, which is at `offset` in the capture; nothing while
/// not all of it is there.
///
/// # Errors
/// When no block can be like this.
#[inline]
pub(super) fn next(data: &[u8], offset: u64) -> Result<Option<Block<'_>>, Error> {
    let Some((head, _)) = data.split_first_chunk::<8>() else {
        return Ok(None);
    };
    let [k0, k1, k2, k3, l0, l1, l2, l3] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if !(FRAME..=LONGEST).contains(&length) {
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
