//! Putting the result of packing in place, while others may put and pack.
//!
//! First comes all that can be written twice, or by two: a mark of our own, with what the
//! span is worth, and the slots of the coarser resolution. Then, row by row and on
//! the condition that nobody replaced it since it was read, the packed row: of two
//! who pack at once one is refused. It marks the span once more, so that it is packed again and
//! whatever was written is written anew. Only after that the pieces go, and the marks
//! that were there when the work began.
//!
//! What this costs a node is the requests more than what is in them. So what may be written at the
//! same time goes together: a mark and its place in the list.

use std::collections::HashSet;

use bubble_common::segment::{Key, Resolution};
use futures_util::future::try_join_all;

use super::life::{self, Entry, Of, Place, slot_bit};
use super::mark::{Span, Writer};
use super::put::{delete_pieces, put_piece};
use super::session::{Bound, Cql};
use super::{Cassandra, read, table};
use crate::clock;
use crate::store::column::number;
use crate::store::error::StoreError;
use crate::store::row::{Form, Packed, Repack, Row, digest};

/// Puts the result of packing in place.
pub(super) async fn repack(store: &Cassandra, change: &Repack) -> Result<(), StoreError> {
    let cql = &store.cql;
    let span = Span::from(&change.span);
    let now = clock::now();
    // Of a writer of its own: what clears it must clear no mark of a piece that came meanwhile.
    let own = Writer::new().mark();
    let entries = life::entries_of(cql, &span.container, span.resolution, span.start).await?;
    let (mut worth, obsolete) = settle(change, &entries);
    // The mark is of the same partition as the worth, so they are one change: who clears it has seen
    // what the span was worth.
    worth.extend([span.set(own, now), span.listed(own, now)]);
    cql.write_in_parts(life::WORTH, worth).await?;
    put_rolled(store, &change.rolled, now).await?;
    // A second that came has an entry of its own; that of a coarser slot may be in one coarser still.
    let recorded = match span.resolution {
        Resolution::Second => life::recorded(&entries),
        _ => read::recorded(cql, &span.container).await?,
    };
    for packed in &change.packed {
        let recorded = (recorded.iter()).any(|of| of.source == packed.row.key.source);
        let lives = store.lives(span.resolution, 0, recorded);
        if !replace(cql, packed, lives).await? {
            // The other may have seen our mark, and cleared it before the slots above were written.
            span.mark(cql, Writer::new().mark(), now).await?;
            return Err(StoreError::Conflict);
        }
    }
    let pieces = change.pieces.iter().map(|(key, form)| (key, *form));
    delete_pieces(cql, &span, pieces).await?;
    // After the rows: what is left of them without a mark would never be tidied up.
    let mut marks = change.span.marks.clone();
    marks.push(own);
    span.clear_all(cql, obsolete, &marks).await
}

/// Statements that note what the span is worth now, and those that delete the entries that are in it.
fn settle(change: &Repack, entries: &[Entry]) -> (Vec<Bound>, Vec<Bound>) {
    let (resolution, start) = (change.span.resolution, change.span.start);
    let posted: HashSet<Place> = change
        .pieces
        .iter()
        .filter(|(_, form)| *form == Form::Posted)
        .map(|(key, _)| Place {
            resolution: key.resolution,
            of: Of::Piece,
            start: key.start,
            source: key.source,
        })
        .collect();
    let mut statements = Vec::new();
    let container = &change.span.container;
    let mut obsolete = Vec::new();
    let mut pieces: Vec<&Entry> = (entries.iter())
        .filter(|entry| posted.contains(&entry.place))
        .collect();
    for worth in &change.worth {
        let finer = |place: &Place| {
            let in_span = resolution.packed_start(place.start) == start;
            place.of == Of::Span
                && Some(resolution) == place.resolution.coarser()
                && in_span
                && worth.slots & slot_bit(resolution, place.start) != 0
        };
        let own = |place: &Place| {
            (place.resolution, place.of, place.start) == (resolution, Of::Span, start)
        };
        let of_source = entries.iter().filter(|e| e.place.source == worth.source);
        let former: Vec<&Entry> = of_source
            .filter(|e| posted.contains(&e.place) || own(&e.place) || finer(&e.place))
            .collect();
        let finer = former.iter().map(|e| e.place).filter(|place| finer(place));
        obsolete.extend(finer.map(|place| place.delete(container)));
        // Of a piece that was known, and packed while it was posted again.
        let left = |e: &&Entry| {
            let place = e.place;
            let in_span = resolution.packed_start(place.start) == start;
            let same = (place.resolution, place.source) == (resolution, worth.source);
            place.of == Of::Piece && same && in_span && e.slots & !worth.slots == 0
        };
        pieces.extend(entries.iter().filter(left));
        let entry = Entry::of_span(resolution, start, worth, &former);
        statements.push(entry.insert(container));
    }
    // What came since stays: it is not in the span yet.
    if let Some(until) = pieces.iter().map(|entry| entry.written).max() {
        obsolete.push(life::delete_pieces(container, resolution, start, until));
    }
    (statements, obsolete)
}

/// Puts the slots of the coarser resolution, one a source, and marks the span that they are all in.
async fn put_rolled(store: &Cassandra, rolled: &[Row], now: u64) -> Result<(), StoreError> {
    let Some(first) = rolled.first() else {
        return Ok(());
    };
    let resolution = first.key.resolution;
    let span = Span {
        container: first.key.container.clone(),
        resolution,
        start: resolution.packed_start(first.key.start),
    };
    let put = rolled
        .iter()
        .map(|row| put_piece(&store.cql, &span, &row.key, row.form, &row.bytes));
    try_join_all(put).await?;
    // The number is drawn after all of them are there, so that one is enough.
    span.mark(&store.cql, store.writer.mark(), now).await
}

/// Writes a packed row in the place of the one that it was made from; `false` when that is not there any more.
pub(super) async fn replace(cql: &Cql, packed: &Packed, lives: i32) -> Result<bool, StoreError> {
    let Row { key, bytes, .. } = &packed.row;
    let table = table::of(key.resolution);
    let doing = "store a packed segment";
    let (container, bucket) = (key.container.as_str(), bucket_of(key));
    let (start, source) = (number(key.start), &key.source.0[..]);
    let (slots, new) = (packed.slots.cast_signed(), digest(bytes));
    let bytes = &bytes[..];
    match packed.replaces {
        None => {
            let values = (container, bucket, start, source, slots, new, bytes, lives);
            cql.write_if(doing, table.insert, values).await
        }
        Some(old) => {
            let values = (
                lives, slots, new, bytes, container, bucket, start, source, old,
            );
            cql.write_if(doing, table.replace, values).await
        }
    }
}

fn bucket_of(key: &Key) -> i64 {
    number(table::bucket(key.resolution, key.start))
}

impl Cassandra {
    /// For how long a packed row whose span ended `age` seconds ago is kept, in seconds; 0 is for ever.
    pub(super) fn lives(&self, resolution: Resolution, age: u64, recorded: bool) -> i32 {
        let kept = self.retention.of(resolution).filter(|_| !recorded);
        let Some(kept) = kept else {
            return 0;
        };
        // Counted from when it is written, so that it is there until it is said to have expired.
        let lives = (kept + resolution.packed_seconds()).saturating_sub(age) + MARGIN;
        // As long as Cassandra can.
        i32::try_from(lives).unwrap_or(MOST).min(MOST)
    }
}

/// Longer than any run of roll-up waits.
const MARGIN: u64 = 3_600;
/// 20 years, in seconds.
const MOST: i32 = 630_720_000;
