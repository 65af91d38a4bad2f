//! The file format of the spool: a sequence of records. Each has its length and a checksum, so a
//! file that was cut off is read up to the cut, and a changed bit costs one record.
//!
//! ```text
//! file   = "BCSPOOL1" record*
//! record = length (u32) segments (u32) checksum (u32) payload
//! ```
//!
//! Numbers are little endian. `length` is the payload's in bytes, `segments` the number of segments
//! in it. The checksum is the CRC-32 of the rest of the record.

use std::io;

use bubble_common::batch::Batch;

use super::disk::DiskFile;

/// What a file begins with.
pub(super) const MAGIC: &[u8; 8] = b"BCSPOOL1";
/// Length of a record before its payload.
pub(super) const HEADER: u64 = 12;
/// Maximum length of a payload. Batches are far shorter; a damaged length must not exhaust the memory.
const MAX_PAYLOAD: u32 = 64 << 20;
/// Maximum number of segments that the header of a damaged record is believed.
const MAX_SEGMENTS: u32 = 512;

/// A record in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Offset of its payload.
    pub(super) offset: u64,
    /// Length of the payload.
    pub(super) length: u32,
    /// Number of segments in the payload.
    pub(super) segments: u32,
}

/// Encodes a record that holds `payload`.
pub(super) fn encode(payload: &[u8], segments: u32) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= MAX_PAYLOAD)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the batch is too long for a record",
            )
        })?;
    let mut bytes = Vec::with_capacity(HEADER as usize + payload.len());
    bytes.extend(length.to_le_bytes());
    bytes.extend(segments.to_le_bytes());
    bytes.extend(checksum(length, segments, payload).to_le_bytes());
    bytes.extend(payload);
    Ok(bytes)
}

fn checksum(length: u32, segments: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&segments.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Damage {
    /// Bytes that belong to no valid record.
    pub(super) bytes: u64,
    /// Segments in damaged records. A record that was cut off at the end of the file has none: the
    /// agent ended while it wrote it.
    pub(super) segments: u64,
}

/// Finds the valid records in the bytes of a file. Reading goes on behind a damaged record.
pub(super) fn scan(bytes: &[u8]) -> (Vec<Record>, Damage) {
    let mut records = Vec::new();
    let mut damage = Damage::default();
    let mut at = MAGIC.len().min(bytes.len());
    if !bytes.starts_with(MAGIC) {
        // Each record has a checksum of its own, so the rest may still be valid.
        damage.bytes += at as u64;
    }
    while at < bytes.len() {
        if let Some((record, end)) = record_at(bytes, at) {
            records.push(record);
            at = end;
            continue;
        }
        let next = next_record(bytes, at + 1);
        let header = header_at(bytes, at);
        let is_complete = header.is_some_and(|[length, ..]| {
            at as u64 + HEADER + u64::from(length) <= bytes.len() as u64
        });
        if next.is_some() || is_complete {
            // The number may be damaged itself.
            let segments = header.map_or(1, |[_, segments, _]| segments);
            damage.segments += u64::from(segments.clamp(1, MAX_SEGMENTS));
        }
        let end = next.unwrap_or(bytes.len());
        damage.bytes += (end - at) as u64;
        at = end;
    }
    (records, damage)
}

/// The valid record at `at`, and where it ends.
fn record_at(bytes: &[u8], at: usize) -> Option<(Record, usize)> {
    let [length, segments, expected] = header_at(bytes, at)?;
    let start = at + HEADER as usize;
    let end = start.checked_add(length as usize)?;
    let payload = bytes.get(start..end)?;
    let record = Record {
        offset: start as u64,
        length,
        segments,
    };
    (length <= MAX_PAYLOAD && checksum(length, segments, payload) == expected)
        .then_some((record, end))
}

/// Where the next valid record from `from` on begins. Only payloads that are batches are found.
fn next_record(bytes: &[u8], from: usize) -> Option<usize> {
    let start = from + HEADER as usize;
    let rest = bytes.get(start..)?;
    memchr::memmem::find_iter(rest, &Batch::MAGIC)
        .map(|offset| from + offset)
        .find(|at| record_at(bytes, *at).is_some())
}

fn header_at(bytes: &[u8], at: usize) -> Option<[u32; 3]> {
    let header = bytes.get(at..at.checked_add(HEADER as usize)?)?;
    header.try_into().ok().map(header_fields)
}

/// Reads the payload of a record.
///
/// # Errors
/// When it cannot be read, or does not match its checksum.
pub(super) fn read(file: &dyn DiskFile, record: Record) -> io::Result<Vec<u8>> {
    let mut header = [0; HEADER as usize];
    file.read_at(&mut header, record.offset - HEADER)?;
    let mut payload = vec![0; record.length as usize];
    file.read_at(&mut payload, record.offset)?;
    let [length, segments, expected] = header_fields(&header);
    let valid = (length, segments) == (record.length, record.segments)
        && checksum(length, segments, &payload) == expected;
    if valid {
        Ok(payload)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a record was changed after it was written",
        ))
    }
}

/// Whether the bytes on the disk are not those that were written. Other errors may pass.
pub(super) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    matches!(error.kind(), InvalidData | NotFound | UnexpectedEof)
}

fn header_fields(header: &[u8; HEADER as usize]) -> [u32; 3] {
    let number = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    [number(0), number(4), number(8)]
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::{Batch, MAGIC, encode, read, scan};

    fn file(bytes: &[u8]) -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn written(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (n, payload) in payloads.iter().enumerate() {
            bytes.extend(encode(payload, n as u32).unwrap());
        }
        bytes
    }

    proptest! {
        #[test]
        fn a_file_cut_anywhere_is_read_up_to_the_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = written(&payloads);
            let cut = cut.index(bytes.len() + 1);
            let (records, damage) = scan(&bytes[..cut]);
            let file = file(&bytes[..cut]);
            // The records that end before the cut.
            let whole = (0..=payloads.len())
                .rev()
                .find(|n| written(&payloads[..*n]).len() <= cut);
            prop_assert_eq!(records.len(), whole.unwrap_or(0));
            for (n, record) in records.iter().enumerate() {
                prop_assert_eq!(&read(&file, *record).unwrap(), &payloads[n]);
                prop_assert_eq!(record.segments, n as u32);
            }
            let valid = whole.map_or(0, |n| written(&payloads[..n]).len());
            prop_assert_eq!(damage.bytes as usize, cut - valid);
            prop_assert_eq!(damage.segments, 0);
        }

        /// One changed byte costs at most one record, whose segments are counted.
        #[test]
        fn a_changed_byte_is_seen(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..6),
            at in any::<prop::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let payloads: Vec<Vec<u8>> = payloads
                .into_iter()
                .map(|more| [&Batch::MAGIC[..], &more].concat())
                .collect();
            let mut bytes = written(&payloads);
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            let (records, damage) = scan(&bytes);
            let file = file(&bytes);
            prop_assert!(damage.bytes > 0);
            let hit = (0..payloads.len()).find(|n| at < written(&payloads[..=*n]).len());
            let hit = hit.filter(|_| at >= MAGIC.len());
            let mut valid = payloads.iter().enumerate().filter(|(n, _)| Some(*n) != hit);
            for record in &records {
                prop_assert_eq!(&read(&file, *record).unwrap(), valid.next().unwrap().1);
            }
            prop_assert!(valid.next().is_none());
            // The last record may seem to be cut off.
            let is_last = hit == Some(payloads.len() - 1);
            prop_assert_eq!(damage.segments > 0, hit.is_some() && (!is_last || damage.segments > 0));
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            scan(&bytes);
            let mut with_magic = MAGIC.to_vec();
            with_magic.extend(&bytes);
            scan(&with_magic);
        }
    }
}
