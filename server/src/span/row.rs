//! Rows: keyed bytes, as the store keeps them, and decoded.

use std::sync::Arc;

use bubble_common::segment::builder::Builder;
use bubble_common::segment::codec::Effort;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::{Key, Segment};
use tracing::error;

use super::seal::{self, Damage};
use crate::metrics;

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

impl Form {
    /// Its number in a checksum.
    const fn number(self) -> u8 {
        match self {
            Self::Packed => 0,
            Self::Rolled => 1,
            Self::Posted => 2,
        }
    }
}

/// A stored segment with its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Key,
    /// Its origin.
    pub form: Form,
    /// The stored bytes: [`Row::segment`] checks them.
    pub bytes: Vec<u8>,
}

/// A decoded row.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Its origin.
    pub form: Form,
    /// The segment. A cache may have it, too.
    pub segment: Arc<Segment>,
}

/// A stored row whose bytes are not those that were written.
#[derive(Debug, thiserror::Error)]
#[error("the stored row {key:?} is damaged: {source}")]
pub struct DamagedRow {
    /// Key of the row.
    pub key: Key,
    /// Cause.
    pub source: Damage,
}

impl Row {
    /// Encodes `segment` with a checksum.
    pub fn new(segment: &Segment, form: Form, effort: Effort) -> Self {
        let key = segment.key.clone();
        Self {
            bytes: seal::seal(&key, form.number(), &segment.encode(effort)),
            key,
            form,
        }
    }

    /// The encoded segment.
    ///
    /// # Errors
    /// When its checksum is wrong.
    pub fn segment(&self) -> Result<&[u8], Damage> {
        seal::open(&self.key, self.form.number(), &self.bytes)
    }

    /// Decodes the row.
    ///
    /// # Errors
    /// When its bytes are not those that were written.
    pub fn decode(&self) -> Result<Piece, DamagedRow> {
        let decoded = self
            .segment()
            .and_then(|bytes| Ok(Segment::decode(bytes)?))
            .and_then(|segment| self.piece(Arc::new(segment)));
        decoded.map_err(|source| self.damaged(source))
    }

    /// Its piece, with the decoded `segment`.
    ///
    /// # Errors
    /// When the segment belongs to another key.
    pub fn piece(&self, segment: Arc<Segment>) -> Result<Piece, Damage> {
        seal::check_key(&self.key, &segment)?;
        Ok(Piece {
            form: self.form,
            segment,
        })
    }

    /// Its error.
    pub fn damaged(&self, source: Damage) -> DamagedRow {
        let key = self.key.clone();
        DamagedRow { key, source }
    }
}

/// Adds a checksum to the encoded segment that is posted under `key`.
pub fn seal_posted(key: &Key, segment: &[u8]) -> Vec<u8> {
    seal::seal(key, Form::Posted.number(), segment)
}

/// Decodes rows, in their order. Damaged rows are logged, counted and left out; their keys are the
/// second part.
pub fn decode(rows: Vec<Row>) -> (Vec<Piece>, Vec<Key>) {
    let mut damaged = Vec::new();
    let pieces = rows.into_iter().filter_map(|row| match row.decode() {
        Ok(piece) => Some(piece),
        Err(error) => {
            report(&error);
            damaged.push(error.key);
            None
        }
    });
    (pieces.collect(), damaged)
}

/// Logs and counts a damaged row.
pub fn report(row: &DamagedRow) {
    let DamagedRow { key, source } = row;
    metrics::count_damaged_row();
    error!(
        container = key.container.as_str(),
        resolution = key.resolution.name(),
        start = key.start,
        source = %key.source,
        "a stored row is damaged and left out: {source}"
    );
}

/// A segment that covers nothing, and says that a row of `key` was damaged.
pub fn damaged_segment(key: Key) -> Segment {
    let mut builder = Builder::new(key, 1);
    builder.loss(Reason::STORE_DAMAGED, 0, Loss { count: 1, bytes: 0 });
    builder.build()
}

/// Notes `rows` damaged rows in a segment that is made of the others: in its first covered slot,
/// because only those are merged.
pub fn note_damage(segment: &Segment, rows: usize) -> Segment {
    note_loss(segment, Reason::STORE_DAMAGED, rows as u64)
}

/// Notes `count` losses in the first covered slot of a segment.
pub(super) fn note_loss(segment: &Segment, reason: Reason, count: u64) -> Segment {
    let covered = segment.coverage.iter().position(|c| !c.is_gap());
    let mut builder = Builder::new(segment.key.clone(), segment.coverage.len());
    builder.facts(&segment.facts);
    for (slot, coverage) in (0..).zip(&segment.coverage) {
        builder.cover(slot, *coverage);
    }
    builder.take(segment, Some);
    let slot = covered.unwrap_or(0) as u32;
    builder.loss(reason, slot, Loss { count, bytes: 0 });
    builder.build()
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::builder::Builder;
    use bubble_common::segment::codec::Effort;
    use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, SourceId};

    use super::{Form, Row, decode};
    use crate::span::seal::Damage;

    fn row(start: u64) -> Row {
        let key = Key {
            container: ContainerId::new("aaaaaaaaaaaa").expect("an id"),
            resolution: Resolution::Second,
            start,
            source: SourceId([7; 16]),
        };
        let mut builder = Builder::new(key, 1);
        builder.cover(0, Coverage::SECOND);
        Row::new(&builder.build(), Form::Posted, Effort::Raw)
    }

    #[test]
    fn each_changed_bit_is_found() {
        let good = row(60);
        let segment = good.decode().expect("it is undamaged").segment;
        for bit in 0..good.bytes.len() * 8 {
            let mut row = good.clone();
            row.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(row.decode().is_err(), "bit {bit}");
        }
        for length in 0..good.bytes.len() {
            let mut row = good.clone();
            row.bytes.truncate(length);
            assert!(row.decode().is_err(), "{length} bytes");
        }
        // Of several rows, the others are used.
        let mut bad = good.clone();
        bad.bytes[6] ^= 1;
        let (pieces, damaged) = decode(vec![bad.clone(), good]);
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].segment, segment);
        assert_eq!(damaged, [bad.key]);
    }

    #[test]
    fn a_row_under_another_key_is_found() {
        let mut moved = row(60);
        moved.key.start = 61;
        assert_eq!(moved.segment(), Err(Damage::Checksum));
        let mut other = row(60);
        other.form = Form::Packed;
        assert_eq!(other.segment(), Err(Damage::Checksum));
    }

    /// Rows of earlier versions.
    #[test]
    fn a_row_without_a_checksum_is_read() {
        let with = row(60);
        let segment = with.decode().expect("it is undamaged").segment;
        let mut without = Row {
            bytes: segment.encode(Effort::Raw),
            ..with
        };
        assert_eq!(without.decode().expect("a segment").segment, segment);
        without.key.start = 61;
        let error = without.decode().expect_err("another second's");
        assert_eq!(error.source, Damage::OtherKey);
    }
}
