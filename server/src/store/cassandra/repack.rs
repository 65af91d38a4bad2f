//! Replacing a span by the result of packing it, while others may put and pack.
//!
//! 1. All that two servers may write at once: a mark of our own, the contribution of the span,
//!    and the slots of the coarser resolution.
//! 2. The packed rows, each on the condition that nobody replaced it since it was read. Of two
//!    servers that pack at once, one is refused. It marks the span again, so that the span is packed
//!    again and all of step 1 is written again.
//! 3. Then the pieces are deleted, and the marks that existed at the start are cleared.
//!
//! A request costs a node more than its content, so writes share requests where they can.

use std::collections::{HashMap, HashSet};

use bubble_common::segment::{Key, Resolution};
use futures_util::future::try_join_all;

use super::cluster::Cassandra;
use super::life_row::{self, Kind, LifeKey, LifeRow};
use super::mark::{Span, Writer};
use super::session::{Bound, Cql};
use super::{piece, read, table};
use crate::clock;
use crate::span::row::{Form, Row};
use crate::span::unite::slot_bit;
use crate::store::column::number;
use crate::store::error::StoreError;
use crate::store::packing::{Packed, Repack, digest};

/// Replaces the rows of a span by the result of packing them.
pub(super) async fn repack(store: &Cassandra, change: &Repack) -> Result<(), StoreError> {
    let cql = &store.cql;
    let span = Span::from(&change.span);
    let now = clock::now();
    // From a writer of its own: clearing it must not clear the mark of a piece that came meanwhile.
    let own = Writer::new().mark();
    let life = life_row::of_span(cql, &span.container, span.resolution, span.start).await?;
    // After the rows of `life`: whoever replaces a piece writes its row later.
    let replaced = Replaced::read(cql, &span, change, &life).await?;
    let (mut statements, obsolete) = update_life(change, &life, &replaced);
    // The mark shares the partition of the contributions, so both change at once: whoever clears
    // the mark has seen the contributions.
    statements.extend([span.set(own, now), span.listed(own, now)]);
    cql.write_in_parts(life_row::DOING, statements).await?;
    put_rolled(store, &change.rolled, now).await?;
    // A posted second has a row in `life` of its own; a coarser slot may be contained in a still
    // coarser row.
    let recorded = match span.resolution {
        Resolution::Second => life_row::recorded(&life),
        _ => read::recorded(cql, &span.container).await?,
    };
    for packed in &change.packed {
        let recorded = (recorded.iter()).any(|of| of.source == packed.row.key.source);
        let ttl = store.ttl(span.resolution, 0, recorded);
        if !replace(cql, packed, ttl).await? {
            // The other server may have cleared our mark before it saw the slots above.
            span.mark(cql, Writer::new().mark(), now).await?;
            return Err(StoreError::Conflict);
        }
    }
    let unique = change.pieces.iter().filter(|piece| piece.digest.is_none());
    let unique = unique.map(|piece| (&piece.key, piece.form));
    piece::delete(cql, &span, unique).await?;
    piece::delete_as_read(cql, &span, replaced.merged.iter()).await?;
    // Last: obsolete rows without a mark would never be deleted.
    let mut marks = change.span.marks.clone();
    marks.push(own);
    span.clear_all(cql, obsolete, &marks).await
}

/// Posted coarse pieces of a span: the other half of one may have replaced it since the change was made.
#[derive(Default)]
struct Replaced {
    /// Those that the change has merged, as they are stored.
    merged: Vec<piece::Version>,
    /// Rows of `life` of those that it has not: they still count.
    left: HashSet<LifeKey>,
}

impl Replaced {
    async fn read(
        cql: &Cql,
        span: &Span,
        change: &Repack,
        life: &[LifeRow],
    ) -> Result<Self, StoreError> {
        let mut digests: HashMap<LifeKey, i64> = HashMap::new();
        for piece in &change.pieces {
            let digest = piece.digest.map(|digest| (life_key(&piece.key), digest));
            digests.extend(digest);
        }
        if digests.is_empty() && !life.iter().any(|row| row.key.is_coarse_piece()) {
            return Ok(Self::default());
        }
        let versions = piece::versions(cql, span).await?.into_iter();
        let posted = versions.filter(|version| version.form == Form::Posted);
        let (merged, left): (Vec<_>, Vec<_>) = posted
            .partition(|version| digests.get(&life_key(&version.key)) == Some(&version.digest));
        Ok(Self {
            merged,
            left: left.iter().map(|version| life_key(&version.key)).collect(),
        })
    }
}

/// The key of the row of a posted piece.
fn life_key(key: &Key) -> LifeKey {
    LifeKey {
        resolution: key.resolution,
        kind: Kind::Piece,
        start: key.start,
        source: key.source,
    }
}

/// Statements that write the contributions of the span, and statements that delete the rows of
/// `life` that they replace.
fn update_life(change: &Repack, life: &[LifeRow], replaced: &Replaced) -> (Vec<Bound>, Vec<Bound>) {
    let (resolution, start) = (change.span.resolution, change.span.start);
    let container = &change.span.container;
    let posted: HashSet<LifeKey> = change
        .pieces
        .iter()
        .filter(|piece| piece.form == Form::Posted)
        .map(|piece| life_key(&piece.key))
        .collect();
    let (mut statements, mut obsolete) = (Vec::new(), Vec::new());
    let packed = life.iter().filter(|row| posted.contains(&row.key));
    let mut pieces: Vec<&LifeRow> = packed.collect();
    for contribution in &change.contributions {
        let in_span = |key: &LifeKey| resolution.packed_start(key.start) == start;
        let is_finer = |key: &LifeKey| {
            key.kind == Kind::Span
                && Some(resolution) == key.resolution.coarser()
                && in_span(key)
                && contribution.slots & slot_bit(resolution, key.start) != 0
        };
        let is_own = |key: &LifeKey| {
            (key.resolution, key.kind, key.start) == (resolution, Kind::Span, start)
        };
        let of_source = life
            .iter()
            .filter(|row| row.key.source == contribution.source);
        let former: Vec<&LifeRow> = of_source
            .filter(|row| posted.contains(&row.key) || is_own(&row.key) || is_finer(&row.key))
            .collect();
        let finer = former.iter().map(|row| row.key).filter(is_finer);
        obsolete.extend(finer.map(|key| key.delete(container)));
        // A known piece that was posted again while it was packed leaves a row behind.
        let is_left_behind = |row: &&LifeRow| {
            let key = row.key;
            let same = (key.resolution, key.source) == (resolution, contribution.source);
            let contained = row.slots & !contribution.slots == 0;
            key.kind == Kind::Piece && same && in_span(&key) && contained
        };
        pieces.extend(life.iter().filter(is_left_behind));
        let row = LifeRow::of_span(resolution, start, contribution, &former);
        statements.push(row.insert(container));
        // At once, as coarse pieces count as long as they exist.
        let contained = life.iter().filter(|row| {
            let key = &row.key;
            let is_own = key.source == contribution.source && in_span(key);
            is_own && key.is_coarse_piece() && !replaced.left.contains(key)
        });
        statements.extend(contained.map(|row| row.delete_as_read(container)));
    }
    pieces.retain(|row| !row.key.is_coarse_piece());
    // Pieces written later stay: the span does not contain them yet.
    if let Some(until) = pieces.iter().map(|row| row.written).max() {
        obsolete.push(life_row::delete_pieces(container, resolution, start, until));
    }
    (statements, obsolete)
}

/// Puts the slots of the coarser resolution, one for each source, and marks their span.
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
        .map(|row| piece::write(&store.cql, &span, &row.key, row.form, &row.bytes));
    try_join_all(put).await?;
    // The number is drawn after all slots are stored, so one mark is enough.
    span.mark(&store.cql, store.writer.mark(), now).await
}

/// Replaces the packed row that `packed` was made from; `false` if it has changed since.
pub(super) async fn replace(cql: &Cql, packed: &Packed, ttl: i32) -> Result<bool, StoreError> {
    let Row { key, bytes, .. } = &packed.row;
    let table = table::of(key.resolution);
    let doing = "store a packed segment";
    let (container, bucket) = (key.container.as_str(), bucket_of(key));
    let (start, source) = (number(key.start), &key.source.0[..]);
    let (slots, new) = (packed.slots.cast_signed(), digest(bytes));
    let bytes = &bytes[..];
    match packed.replaces {
        None => {
            let values = (container, bucket, start, source, slots, new, bytes, ttl);
            cql.write_if(doing, table.insert, values).await
        }
        Some(old) => {
            let replace = async |digest: i64| {
                let values = (
                    ttl, slots, new, bytes, container, bucket, start, source, digest,
                );
                cql.write_if(doing, table.replace, values).await
            };
            if replace(old).await? {
                return Ok(true);
            }
            // A damaged row has another digest than its bytes.
            let rows: Vec<(i64, Vec<u8>)> = cql
                .rows(doing, table.row, (container, bucket, start, source))
                .await?;
            match rows.first() {
                Some((stored, bytes)) if *stored != old && digest(bytes) == old => {
                    replace(*stored).await
                }
                _ => Ok(false),
            }
        }
    }
}

fn bucket_of(key: &Key) -> i64 {
    number(table::bucket(key.resolution, key.start))
}
