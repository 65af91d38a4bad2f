//! The frame around segments and batches: magic, version, flags, and a body that zstd may have packed.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use super::Effort;
use super::budget::Budget;
use super::error::DecodeError;
use super::primitive::{Reader, put_varint};

/// Flag: the body is packed by zstd, after its length when unpacked.
const PACKED: u8 = 1;

/// What kind of frame, and which versions of it are known.
#[derive(Debug)]
pub(crate) struct Format {
    /// What it holds, for error texts.
    pub(crate) name: &'static str,
    /// The first four bytes.
    pub(crate) magic: [u8; 4],
    /// The version that is written; older ones are read.
    pub(crate) version: u8,
}

impl Format {
    /// Starts a frame: magic, version.
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
    // A compressor's tables are far larger than most bodies, and making them costs more than packing.
    static COMPRESSORS: RefCell<[Option<Compressor<'static>>; 3]> = const { RefCell::new([None, None, None]) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Appends `body`: flags, then as it is or packed, whichever is shorter. It goes to the frame's end.
pub(crate) fn put_body(out: &mut Vec<u8>, body: &[u8], effort: Effort) {
    match pack(body, effort) {
        Some(packed) if packed.len() < body.len() => {
            out.push(PACKED);
            put_varint(out, body.len() as u64);
            out.extend_from_slice(&packed);
        }
        _ => {
            out.push(0);
            out.extend_from_slice(body);
        }
    }
}

/// `body` by zstd; none without it, or when that failed (for want of memory), which costs only size.
fn pack(body: &[u8], effort: Effort) -> Option<Vec<u8>> {
    let level = effort.level()?;
    COMPRESSORS.with_borrow_mut(|compressors| {
        let slot = &mut compressors[effort as usize];
        if slot.is_none() {
            let mut made = Compressor::new(level).ok()?;
            // The frame has the length already.
            made.include_contentsize(false).ok()?;
            *slot = Some(made);
        }
        slot.as_mut()?.compress(body).ok()
    })
}

/// The body, which is the rest of `reader`, handed to `read` together with the budget.
pub(crate) fn with_body<T>(
    mut reader: Reader<'_>,
    budget: &mut Budget,
    read: impl FnOnce(&[u8], &mut Budget) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    match reader.byte()? {
        0 => read(reader.rest(), budget),
        PACKED => {
            let length = reader.length()?;
            let mut body = budget.vec::<u8>(length)?;
            unpack(reader.rest(), &mut body)?;
            if body.len() != length {
                return Err(DecodeError::Corrupt(
                    "the packed body is not as long as it says",
                ));
            }
            read(&body, budget)
        }
        _ => Err(DecodeError::Corrupt("the frame has unknown flags")),
    }
}

/// Unpacks into the capacity of `body`, never beyond it.
fn unpack(packed: &[u8], body: &mut Vec<u8>) -> Result<(), DecodeError> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        if decompressor.is_none() {
            *decompressor = Decompressor::new().ok();
        }
        let decompressor = decompressor.as_mut().ok_or(DecodeError::Corrupt(
            "zstd had no memory to unpack the body",
        ))?;
        decompressor
            .decompress_to_buffer(packed, body)
            .map(drop)
            .map_err(|_| DecodeError::Corrupt("zstd cannot unpack the body"))
    })
}
