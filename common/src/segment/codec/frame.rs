//! The frame around segments and batches: magic, version, flags, and a body that may be compressed.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use super::budget::Budget;
use super::effort::Effort;
use super::error::DecodeError;
use super::primitive::{Reader, put_varint};

/// Flag: the body is compressed by zstd, after its uncompressed length.
const COMPRESSED: u8 = 1;

/// A kind of frame, and its versions.
#[derive(Debug)]
pub(crate) struct Format {
    /// Name of the content, for error messages.
    pub(crate) name: &'static str,
    /// The first four bytes.
    pub(crate) magic: [u8; 4],
    /// The version to write. Older versions are read.
    pub(crate) version: u8,
}

impl Format {
    /// Starts a frame with magic and version.
    pub(crate) fn start(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.push(self.version);
        out
    }

    /// Reads what [`Self::start`] wrote, and returns the version.
    pub(crate) fn open(&self, reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
        let unrecognised = DecodeError::Unrecognised {
            expected: self.name,
        };
        if reader.array::<4>() != Ok(self.magic) {
            return Err(unrecognised);
        }
        let version = reader.byte()?;
        if (1..=self.version).contains(&version) {
            Ok(version)
        } else {
            Err(DecodeError::UnsupportedVersion {
                found: version,
                known: self.version,
            })
        }
    }
}

thread_local! {
    // Reused: the tables of a compressor are far larger than most bodies, and allocating them costs
    // more than compressing.
    static COMPRESSORS: RefCell<[Option<Compressor<'static>>; 3]> = const { RefCell::new([None, None, None]) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Appends flags and `body`, compressed if that is shorter. Nothing may follow in the frame.
pub(crate) fn put_body(out: &mut Vec<u8>, body: &[u8], effort: Effort) {
    match compress(body, effort) {
        Some(compressed) if compressed.len() < body.len() => {
            out.push(COMPRESSED);
            put_varint(out, body.len() as u64);
            out.extend_from_slice(&compressed);
        }
        _ => {
            out.push(0);
            out.extend_from_slice(body);
        }
    }
}

/// Compresses `body`. Returns `None` if `effort` asks for no compression or zstd fails (out of
/// memory); the body is then only larger.
fn compress(body: &[u8], effort: Effort) -> Option<Vec<u8>> {
    let level = effort.level()?;
    COMPRESSORS.with_borrow_mut(|compressors| {
        let slot = &mut compressors[effort as usize];
        if slot.is_none() {
            let mut compressor = Compressor::new(level).ok()?;
            // The frame has the length already.
            compressor.include_contentsize(false).ok()?;
            *slot = Some(compressor);
        }
        slot.as_mut()?.compress(body).ok()
    })
}

/// Passes the body, which is the rest of `reader`, to `read`.
pub(crate) fn with_body<T>(
    mut reader: Reader<'_>,
    budget: &mut Budget,
    read: impl FnOnce(&[u8], &mut Budget) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    match reader.byte()? {
        0 => read(reader.rest(), budget),
        COMPRESSED => {
            let length = reader.length()?;
            let mut body = budget.vec::<u8>(length)?;
            decompress(reader.rest(), &mut body)?;
            if body.len() != length {
                return Err(DecodeError::Corrupt(
                    "the compressed body has another length than it says",
                ));
            }
            read(&body, budget)
        }
        _ => Err(DecodeError::Corrupt("the frame has unknown flags")),
    }
}

/// Decompresses into the capacity of `body`, never beyond it.
fn decompress(compressed: &[u8], body: &mut Vec<u8>) -> Result<(), DecodeError> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        if decompressor.is_none() {
            *decompressor = Decompressor::new().ok();
        }
        let decompressor = decompressor.as_mut().ok_or(DecodeError::Corrupt(
            "zstd had no memory to decompress the body",
        ))?;
        decompressor
            .decompress_to_buffer(compressed, body)
            .map(drop)
            .map_err(|_| DecodeError::Corrupt("zstd cannot decompress the body"))
    })
}
