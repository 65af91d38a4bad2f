//! Little-endian numbers and counted text, taken one after the other from untrusted bytes:
//! `None` where the bytes end.

/// Longest path that is kept, in bytes: writers have no longer ones.
pub(super) const MAX_PATH: usize = 1_024;
/// Longest list of arguments that is kept, in bytes, likewise.
pub(super) const MAX_ARGUMENTS: usize = 4_096;

/// The bytes that are left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn v4(&mut self) -> Option<[u8; 4]> {
        self.array()
    }

    pub(super) fn v6(&mut self) -> Option<[u8; 16]> {
        self.array()
    }

    /// A text with its length before it.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

/// The bytes before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}

/// Text before the first NUL, of at most `max` bytes.
pub(super) fn text(bytes: &[u8], max: usize) -> Box<str> {
    let bytes = until_nul(bytes);
    String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into()
}
