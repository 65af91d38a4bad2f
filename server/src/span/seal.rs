//! The checksum of a stored row.
//!
//! ```text
//! stored row = magic (4 bytes)  checksum (u32, little-endian)  segment
//! ```
//!
//! The checksum is the CRC-32 of the row's key, its form and the segment, so a row that a database
//! returns under another key is found, too. Rows of earlier versions are the segment alone; only
//! their decoding and their key are checked.

use bubble_common::segment::codec::DecodeError;
use bubble_common::segment::{Key, Segment};
use crc32fast::Hasher;

/// Begins a row with a checksum. A segment begins with other bytes.
const MAGIC: [u8; 4] = [0xbc, b'R', b'O', b'W'];

/// What is wrong with a stored row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It was changed after it was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// A row without a checksum, or one whose beginning was changed, that is no segment.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A row without a checksum that belongs elsewhere.
    #[error("it holds the segment of another container, time or source")]
    OtherKey,
}

/// The stored form of `segment`, an encoded segment.
pub(super) fn seal(key: &Key, form: u8, segment: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(MAGIC.len() + size_of::<u32>() + segment.len());
    row.extend(MAGIC);
    row.extend(checksum(key, form, segment).to_le_bytes());
    row.extend_from_slice(segment);
    row
}

/// The encoded segment in a stored row.
///
/// # Errors
/// When the row was changed after it was written.
pub(super) fn open<'a>(key: &Key, form: u8, row: &'a [u8]) -> Result<&'a [u8], Damage> {
    let Some(rest) = row.strip_prefix(&MAGIC) else {
        return Ok(row);
    };
    let (expected, segment) = rest.split_first_chunk().ok_or(Damage::Checksum)?;
    match checksum(key, form, segment) == u32::from_le_bytes(*expected) {
        true => Ok(segment),
        false => Err(Damage::Checksum),
    }
}

/// Checks that a decoded segment is the one of `key`.
pub(super) fn check_key(key: &Key, segment: &Segment) -> Result<(), Damage> {
    match segment.key == *key {
        true => Ok(()),
        false => Err(Damage::OtherKey),
    }
}

fn checksum(key: &Key, form: u8, segment: &[u8]) -> u32 {
    let container = key.container.as_str().as_bytes();
    let mut hasher = Hasher::new();
    hasher.update(&(container.len() as u64).to_le_bytes());
    hasher.update(container);
    hasher.update(&[key.resolution as u8, form]);
    hasher.update(&key.start.to_le_bytes());
    hasher.update(&key.source.0);
    hasher.update(segment);
    hasher.finalize()
}
