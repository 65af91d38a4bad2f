//! Rows: keyed bytes, as the store keeps them, and decoded.

use bubble_common::segment::codec::DecodeError;
use bubble_common::segment::{Key, Segment};

/// Origin of a row. Decides which row wins where rows of one span overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A whole span of one source.
    Packed,
    /// One slot made from the finer resolution. It is complete, and replaces that slot of the
    /// packed row.
    Rolled,
    /// As an agent posted it.
    Posted,
}

/// A stored segment, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Key,
    /// Its origin.
    pub form: Form,
    /// The segment, as the codec made it.
    pub bytes: Vec<u8>,
}

/// A decoded row.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Its origin.
    pub form: Form,
    /// The segment.
    pub segment: Segment,
}

/// A stored segment that cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[error("the stored segment {key:?} can't be decoded: {source}")]
pub struct UnreadableRow {
    /// Key of the row.
    pub key: Key,
    /// Cause.
    pub source: DecodeError,
}

/// Decodes rows, in their order.
///
/// # Errors
/// When one of them cannot be decoded.
pub fn decode(rows: Vec<Row>) -> Result<Vec<Piece>, UnreadableRow> {
    let decode = |row: Row| match Segment::decode(&row.bytes) {
        Ok(segment) => Ok(Piece {
            form: row.form,
            segment,
        }),
        Err(source) => Err(UnreadableRow {
            key: row.key,
            source,
        }),
    };
    rows.into_iter().map(decode).collect()
}
