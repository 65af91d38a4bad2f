//! The layout of BTF: Linux `include/uapi/linux/btf.h`.

/// First word of every BTF.
pub(super) const MAGIC: u16 = 0xeb9f;

/// Kind of a type, numbered as in the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// An integer.
    Int = 1,
    /// A pointer.
    Pointer = 2,
    /// An array.
    Array = 3,
    /// A struct.
    Struct = 4,
    /// A union.
    Union = 5,
    /// An enumeration.
    Enum = 6,
    /// A typedef.
    Typedef = 8,
    /// A function.
    Function = 12,
    /// A function's arguments and result.
    Prototype = 13,
    /// An enumeration of 64-bit values.
    Enum64 = 19,
    /// Anything else.
    Other = 0,
}

impl Kind {
    /// Whether types of this kind are looked up by their name.
    pub(super) fn is_found_by_name(self) -> bool {
        use Kind::{Enum, Function, Struct, Typedef, Union};
        matches!(self, Struct | Union | Enum | Typedef | Function)
    }
}

/// A decoded type.
#[derive(Clone, Copy)]
pub(super) struct Type {
    pub(super) name: u32,
    pub(super) kind: Kind,
    /// It is const, volatile, restrict or a type tag.
    pub(super) qualifier: bool,
    pub(super) bit_fields: bool,
    pub(super) length: u16,
    /// Size in bytes, or the type it refers to.
    pub(super) size_or_type: u32,
    /// Offset of the data behind the head.
    pub(super) more: usize,
}

/// The word at `at`. `None` beyond the end.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// The type at `at`, and the number of bytes behind its head.
pub(super) fn head_of(bytes: &[u8], at: usize) -> Option<(Type, usize)> {
    let info = word(bytes, at + 4)?;
    let length = info as u16;
    let number = (info >> 24 & 0x1f) as u8;
    let each = |size: usize| usize::from(length) * size;
    let (kind, more) = match number {
        1 => (Kind::Int, 4),
        2 => (Kind::Pointer, 0),
        3 => (Kind::Array, 12),
        4 => (Kind::Struct, each(12)),
        5 => (Kind::Union, each(12)),
        6 => (Kind::Enum, each(8)),
        8 => (Kind::Typedef, 0),
        12 => (Kind::Function, 0),
        13 => (Kind::Prototype, each(8)),
        19 => (Kind::Enum64, each(12)),
        // Forward, volatile, const, restrict, float, type tag.
        7 | 9 | 10 | 11 | 16 | 18 => (Kind::Other, 0),
        // Variable, declaration tag.
        14 | 17 => (Kind::Other, 4),
        // Data section.
        15 => (Kind::Other, each(12)),
        _ => return None,
    };
    let found = Type {
        name: word(bytes, at)?,
        kind,
        qualifier: matches!(number, 9 | 10 | 11 | 18),
        bit_fields: info >> 31 != 0,
        length,
        size_or_type: word(bytes, at + 8)?,
        more: at + 12,
    };
    Some((found, more))
}
