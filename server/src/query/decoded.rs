//! A cache of decoded rows: a live page asks for the same rows again and again.
//!
//! A cached row is used only if the stored bytes are equal to those that it was decoded from. So the
//! cache needs no invalidation, and a damaged row is found as before.

use std::sync::{Arc, Mutex, PoisonError};

use bubble_common::segment::cell::Cell;
use bubble_common::segment::network::{Address, Connection};
use bubble_common::segment::process::Process;
use bubble_common::segment::{Key, Segment};
use hashlink::LruCache;

use crate::span::row::{Form, Row};

/// One row takes at most this part of the cache. A larger one would evict too many others.
const MAX_SHARE: usize = 8;

/// The rows that were decoded last, up to a number of bytes.
#[derive(Debug)]
pub(super) struct DecodedRows {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rows: LruCache<(Key, Form), DecodedRow>,
    /// Bytes of all rows.
    used: usize,
}

/// A decoded row.
#[derive(Debug, Clone)]
pub(super) struct DecodedRow {
    /// The stored bytes.
    bytes: Arc<[u8]>,
    /// Their segment.
    pub(super) segment: Arc<Segment>,
    /// The memory that it takes.
    pub(super) size: Size,
}

/// Memory of a segment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// The segment itself.
    pub(super) segment: usize,
    /// What adding it up may take: sums of its dictionaries and of its rows.
    pub(super) sums: usize,
}

impl DecodedRows {
    /// A cache of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let rows = LruCache::new_unbounded();
        Self {
            limit,
            state: Mutex::new(State { rows, used: 0 }),
        }
    }

    /// The decoded form of `row`, if it is cached.
    pub(super) fn get(&self, row: &Row) -> Option<DecodedRow> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (row.key.clone(), row.form);
        let known = state.rows.get(&name)?;
        (*known.bytes == *row.bytes).then(|| known.clone())
    }

    /// Caches a decoded row in place of what was cached under its key.
    pub(super) fn insert(&self, row: Row, segment: Arc<Segment>, size: Size) {
        let decoded = DecodedRow {
            bytes: row.bytes.into(),
            segment,
            size,
        };
        let bytes = decoded.bytes();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (row.key, row.form);
        if bytes > self.limit / MAX_SHARE {
            state.remove(&name);
            return;
        }
        state.used += bytes;
        if let Some(former) = state.rows.insert(name, decoded) {
            state.used -= former.bytes();
        }
        while state.used > self.limit
            && let Some((_, oldest)) = state.rows.remove_lru()
        {
            state.used -= oldest.bytes();
        }
    }

    /// Bytes of all rows.
    #[cfg(test)]
    fn used(&self) -> usize {
        self.state.lock().expect("no panic").used
    }
}

impl State {
    fn remove(&mut self, name: &(Key, Form)) {
        if let Some(former) = self.rows.remove(name) {
            self.used -= former.bytes();
        }
    }
}

impl DecodedRow {
    /// Memory of the entry: the segment, the stored bytes, and their place in the cache.
    fn bytes(&self) -> usize {
        const ENTRY: usize = 2 * (size_of::<((Key, Form), DecodedRow)>() + size_of::<usize>() * 2);
        self.size.segment + self.bytes.len() + ENTRY
    }
}

impl Size {
    /// The memory of `segment`.
    pub(super) fn of(segment: &Segment) -> Self {
        // Names each table, so that a new one is not left out.
        let Segment {
            key: _,
            coverage,
            facts,
            processes,
            files,
            connections,
            cpu,
            memory,
            file_io,
            network_io,
            waits,
            totals,
            events,
            losses,
        } = segment;
        let texts = processes.iter();
        let texts = texts.map(|p| p.name.len() + p.exe.len() + p.args.len());
        let processes = processes.len() * size_of::<Process>() + texts.sum::<usize>();
        let files = files.iter();
        let files = files.map(|file| size_of_val(file) + file.path.len());
        let of_address = |address: &Address| match address {
            Address::Path(path) => path.len(),
            _ => 0,
        };
        let connections = connections.iter();
        let connections = connections
            .map(|c| size_of::<Connection>() + of_address(&c.local) + of_address(&c.peer));
        let facts = facts.iter();
        let facts =
            facts.map(|(name, value)| 2 * size_of::<[String; 2]>() + name.len() + value.len());
        let events = events.iter();
        let events = events.map(|event| size_of_val(event) + event.detail.len());
        let dictionaries =
            processes + files.sum::<usize>() + connections.sum::<usize>() + events.sum::<usize>();
        let tables = [
            table(cpu),
            table(memory),
            table(file_io),
            table(network_io),
            table(waits),
            table(totals),
            table(losses),
        ];
        let cells: usize = tables.iter().map(|(bytes, _)| bytes).sum();
        let rows: usize = tables.iter().map(|(_, rows)| rows).sum();
        let coverage = size_of_val(&coverage[..]);
        Self {
            segment: size_of::<Segment>() + dictionaries + facts.sum::<usize>() + coverage + cells,
            // Copies of processes with their sums, and entries of hash tables.
            sums: 3 * dictionaries + 128 * rows + 8 * coverage,
        }
    }

    /// All of it.
    pub(super) fn total(&self) -> usize {
        self.segment + self.sums
    }
}

/// Bytes of a table, and its number of rows.
fn table<V>(cells: &[Cell<V>]) -> (usize, usize) {
    let others = cells.windows(2).filter(|pair| pair[0].row != pair[1].row);
    let rows = others.count() + usize::from(!cells.is_empty());
    (size_of_val(cells), rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bubble_common::segment::codec::Effort;
    use bubble_testing::container::{Container, Size as ContainerSize};

    use super::{DecodedRows, Size};
    use crate::span::row::{Form, Row};

    fn rows(count: usize) -> Vec<Row> {
        let mut container = Container::new(1, 1_200_000, ContainerSize::QUIET);
        let row = |_| Row::new(&container.seconds(60), Form::Packed, Effort::Fast);
        (0..count).map(row).collect()
    }

    fn insert(cache: &DecodedRows, row: &Row) -> usize {
        let segment = row.decode().expect("undamaged").segment;
        let size = Size::of(&segment);
        cache.insert(row.clone(), segment, size);
        size.segment
    }

    #[test]
    fn a_row_is_cached_while_its_bytes_are_the_same() {
        let cache = DecodedRows::new(64 << 20);
        let row = &rows(1)[0];
        assert!(cache.get(row).is_none());
        insert(&cache, row);
        let known = cache.get(row).expect("cached");
        let decoded = row.decode().expect("undamaged").segment;
        assert_eq!(known.segment, decoded);
        // Another version under the same key, or a damaged one.
        let mut other = row.clone();
        *other.bytes.last_mut().expect("bytes") ^= 1;
        assert!(cache.get(&other).is_none());
        other.form = Form::Posted;
        assert!(cache.get(&other).is_none());
    }

    #[test]
    fn the_oldest_rows_leave_when_it_is_full() {
        let rows = rows(20);
        let unlimited = DecodedRows::new(usize::MAX);
        rows.iter().for_each(|row| {
            insert(&unlimited, row);
        });
        let limit = unlimited.used() / 2;
        let cache = DecodedRows::new(limit);
        for row in &rows {
            insert(&cache, row);
            assert!(cache.used() <= limit);
            assert!(cache.get(&rows[0]).is_some(), "it is used again and again");
        }
        let cached = rows.iter().filter(|row| cache.get(row).is_some()).count();
        assert!((8..=10).contains(&cached), "{cached} of 20");
        assert!(cache.get(&rows[1]).is_none() && cache.get(&rows[19]).is_some());
        // The same row again takes no more.
        let used = cache.used();
        insert(&cache, &rows[19]);
        assert_eq!(cache.used(), used);
        let small = DecodedRows::new(limit / 10);
        insert(&small, &rows[0]);
        assert_eq!(small.used(), 0, "it is too large");
    }

    #[test]
    fn waits_are_part_of_the_size() {
        let mut segment = Container::new(1, 1_200_000, ContainerSize::BUSY).seconds(60);
        let with = Size::of(&segment).segment;
        let waits = std::mem::take(&mut segment.waits);
        assert!(!waits.is_empty());
        assert_eq!(with - Size::of(&segment).segment, size_of_val(&waits[..]));
    }

    #[test]
    fn the_size_is_about_what_is_allocated() {
        let mut container = Container::new(1, 1_200_000, ContainerSize::BUSY);
        let bytes = container.seconds(60).encode(Effort::Raw);
        let (segment, used) =
            bubble_common::segment::Segment::decode_limited(&bytes, usize::MAX).expect("a segment");
        let size = Size::of(&Arc::new(segment)).segment;
        // Decoding also needs memory for a moment.
        assert!((used / 2..used * 3 / 2).contains(&size), "{size} of {used}");
    }
}
