//! The file format of the spool: records one after the other, each with its length
//! and a checksum, so that a file that was cut anywhere is read up to the cut.
//!
//! ```text
//! file   = "BCSPOOL1" record*
//! record = length (u32) segments (u32) checksum (u32) payload
//! ```
//!
//! Numbers are little endian. `length` is the payload's, `segments` how many
//! segments are in it, and the checksum is the CRC-32 of the rest of the record.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// What a file begins with.
pub(super) const MAGIC: &[u8; 8] = b"BCSPOOL1";
/// Bytes of a record before its payload.
pub(super) const HEADER: u64 = 12;
/// Longest payload: far more than a batch has, far less than fills the memory.
pub(super) const MAX_PAYLOAD: u32 = 64 << 20;

/// Where a record is in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Where its payload begins.
    pub(super) offset: u64,
    /// Length of the payload.
    pub(super) length: u32,
    /// How many segments are in it.
    pub(super) segments: u32,
}

/// The record that holds `payload`.
pub(super) fn record(payload: &[u8], segments: u32) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= MAX_PAYLOAD)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "too long for a record"))?;
    let mut record = Vec::with_capacity(HEADER as usize + payload.len());
    record.extend(length.to_le_bytes());
    record.extend(segments.to_le_bytes());
    record.extend(checksum(length, segments, payload).to_le_bytes());
    record.extend(payload);
    Ok(record)
}

fn checksum(length: u32, segments: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&segments.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The sound records of a file, and how many bytes behind them are not.
pub(super) fn scan(file: &File) -> io::Result<(Vec<Place>, u64)> {
    let size = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0))?;
    let mut places = Vec::new();
    let mut magic = [0; MAGIC.len()];
    if !fill(&mut reader, &mut magic)? || magic != *MAGIC {
        return Ok((places, size));
    }
    let mut sound = MAGIC.len() as u64;
    let mut payload = Vec::new();
    loop {
        let mut header = [0; HEADER as usize];
        if !fill(&mut reader, &mut header)? {
            break;
        }
        let [length, segments, expected] = numbers(&header);
        let end = sound + HEADER + u64::from(length);
        if length > MAX_PAYLOAD || end > size {
            break;
        }
        payload.resize(length as usize, 0);
        if !fill(&mut reader, &mut payload)? || checksum(length, segments, &payload) != expected {
            break;
        }
        places.push(Place {
            offset: sound + HEADER,
            length,
            segments,
        });
        sound = end;
    }
    Ok((places, size - sound))
}

/// Reads the payload of a record, if it is still what was written.
pub(super) fn read(mut file: &File, place: Place) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(place.offset - HEADER))?;
    let mut header = [0; HEADER as usize];
    file.read_exact(&mut header)?;
    let mut payload = vec![0; place.length as usize];
    file.read_exact(&mut payload)?;
    let [length, segments, expected] = numbers(&header);
    let sound = (length, segments) == (place.length, place.segments)
        && checksum(length, segments, &payload) == expected;
    if sound {
        Ok(payload)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a record is not what was written",
        ))
    }
}

fn numbers(header: &[u8; HEADER as usize]) -> [u32; 3] {
    let number = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    [number(0), number(4), number(8)]
}

/// Fills `bytes`; `false` at the end of the file.
fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, read, record, scan};
    use proptest::prelude::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn written(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (n, payload) in payloads.iter().enumerate() {
            bytes.extend(record(payload, n as u32).unwrap());
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
            let file = file(&bytes[..cut]);
            let (places, rest) = scan(&file).unwrap();
            // As many as fit in what is left.
            let whole = (0..=payloads.len())
                .rev()
                .find(|n| written(&payloads[..*n]).len() <= cut);
            prop_assert_eq!(places.len(), whole.unwrap_or(0));
            for (n, place) in places.iter().enumerate() {
                prop_assert_eq!(&read(&file, *place).unwrap(), &payloads[n]);
                prop_assert_eq!(place.segments, n as u32);
            }
            let sound = whole.map_or(0, |n| written(&payloads[..n]).len());
            prop_assert_eq!(rest as usize, cut - sound);
        }

        #[test]
        fn a_changed_byte_is_seen(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..80), 1..6),
            at in any::<prop::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let mut bytes = written(&payloads);
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            let file = file(&bytes);
            let (places, rest) = scan(&file).unwrap();
            prop_assert!(rest > 0);
            for (n, place) in places.iter().enumerate() {
                prop_assert_eq!(&read(&file, *place).unwrap(), &payloads[n]);
            }
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            scan(&file(&bytes)).unwrap();
            let mut with_magic = MAGIC.to_vec();
            with_magic.extend(&bytes);
            scan(&file(&with_magic)).unwrap();
        }
    }
}
