//! Bounds the memory of a query.
//!
//! A query begins with a small reservation, beside others. One that needs more drops what it has and
//! begins again with a large one, alone. So no query waits for the memory of queries while holding some of
//! it. An encoded answer waits for a moment only for the memory of answers, as it still holds its query's.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bubble_common::segment::Segment;
use bubble_common::segment::codec::{DecodeError, memory_limit};

use super::decoded::{DecodedRows, Size};
use super::error::QueryError;
use crate::memory::{Memory, MemoryError, Reservation};
use crate::span::row::{DamagedRow, Piece, Row};

/// Longest wait for memory.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(20);

/// The memory that one query may still use.
#[derive(Debug)]
pub(in crate::query) struct Bound {
    left: AtomicUsize,
    limit: usize,
    /// Whether the query begins again with more if this is not enough.
    can_grow: bool,
    /// Rows that need not be decoded again. They count as if they were.
    decoded: Option<Arc<DecodedRows>>,
}

impl Bound {
    /// `limit` bytes.
    pub(in crate::query) fn new(limit: usize) -> Arc<Self> {
        Self::with_cache(limit, None, false)
    }

    /// `limit` bytes, and a cache of rows.
    fn with_cache(limit: usize, decoded: Option<Arc<DecodedRows>>, can_grow: bool) -> Arc<Self> {
        let left = AtomicUsize::new(limit);
        Arc::new(Self {
            left,
            limit,
            can_grow,
            decoded,
        })
    }

    /// No bound.
    pub(in crate::query) fn none() -> Arc<Self> {
        Self::new(usize::MAX / 4)
    }

    /// Takes `bytes`.
    ///
    /// # Errors
    /// When fewer are left.
    pub(in crate::query) fn take(&self, bytes: usize) -> Result<(), MemoryError> {
        let take = |left: usize| left.checked_sub(bytes);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        let taken = self.left.fetch_update(set, get, take);
        taken.map(drop).map_err(|_| self.exceeded())
    }

    /// Whether the query begins again with more memory if this is not enough.
    pub(in crate::query) fn can_grow(&self) -> bool {
        self.can_grow
    }

    /// Bytes that are left.
    pub(in crate::query) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// Gives back `bytes` that were taken.
    pub(in crate::query) fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Decodes a row, or takes it from the cache. The outer error is that it does not fit, the inner one
    /// that it is damaged.
    ///
    /// # Errors
    /// When it needs more memory than is left.
    pub(in crate::query) fn decode(
        &self,
        row: Row,
    ) -> Result<Result<Piece, DamagedRow>, MemoryError> {
        if let Some(known) = self.decoded.as_ref().and_then(|rows| rows.get(&row)) {
            self.take(known.size.total())?;
            return Ok(Ok(Piece {
                form: row.form,
                segment: known.segment,
            }));
        }
        let room = self.left();
        let bytes = match row.segment() {
            Ok(bytes) => bytes,
            Err(damage) => return Ok(Err(row.damaged(damage))),
        };
        let segment = match Segment::decode_limited(bytes, room) {
            Ok((segment, _)) => Arc::new(segment),
            Err(DecodeError::TooLarge { .. }) if room < memory_limit(bytes.len()) => {
                return Err(self.exceeded());
            }
            Err(error) => return Ok(Err(row.damaged(error.into()))),
        };
        let size = Size::of(&segment);
        self.take(size.total())?;
        let piece = match row.piece(segment) {
            Ok(piece) => piece,
            Err(damage) => return Ok(Err(row.damaged(damage))),
        };
        if let Some(rows) = &self.decoded {
            rows.insert(row, Arc::clone(&piece.segment), size);
        }
        Ok(Ok(piece))
    }

    fn exceeded(&self) -> MemoryError {
        MemoryError::TooLarge { limit: self.limit }
    }
}

/// One attempt to answer a query, with its reservation.
pub(in crate::query) struct Attempt {
    memory: Memory,
    decoded: Arc<DecodedRows>,
    bound: Arc<Bound>,
    is_large: bool,
    held: Reservation,
}

impl Attempt {
    /// The first attempt, with a small reservation.
    pub(in crate::query) async fn first(
        memory: &Memory,
        decoded: &Arc<DecodedRows>,
    ) -> Result<Self, QueryError> {
        let small = Memory::SMALL_QUERY;
        Ok(Self {
            memory: memory.clone(),
            decoded: Arc::clone(decoded),
            bound: Bound::with_cache(small, Some(Arc::clone(decoded)), true),
            is_large: false,
            held: memory.queries.reserve(small, MEMORY_TIMEOUT).await?,
        })
    }

    /// What this attempt may use.
    pub(in crate::query) fn bound(&self) -> Arc<Bound> {
        Arc::clone(&self.bound)
    }

    /// Breaks with the result of this attempt and its memory, or continues with a larger one.
    pub(in crate::query) async fn settle<T>(
        self,
        done: Result<T, QueryError>,
    ) -> Result<ControlFlow<(T, Reservation), Self>, QueryError> {
        let too_large = matches!(done, Err(QueryError::Memory(MemoryError::TooLarge { .. })));
        if self.is_large || !too_large {
            return done.map(|answer| ControlFlow::Break((answer, self.held)));
        }
        let (memory, decoded) = (self.memory.clone(), Arc::clone(&self.decoded));
        drop(self);
        let large = &memory.large_query;
        let held = large.reserve(large.size(), MEMORY_TIMEOUT).await?;
        Ok(ControlFlow::Continue(Self {
            bound: Bound::with_cache(large.size(), Some(Arc::clone(&decoded)), false),
            is_large: true,
            held,
            memory,
            decoded,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bubble_common::segment::codec::Effort;
    use bubble_testing::container::{Container, Size};

    use super::super::decoded::DecodedRows;
    use super::Bound;
    use crate::span::row::{Form, Row};

    #[test]
    fn a_row_is_decoded_if_it_fits_and_counts_from_the_cache_too() {
        let mut container = Container::new(1, 1_200_000, Size::QUIET);
        let segment = container.seconds(60);
        let row = Row::new(&segment, Form::Packed, Effort::Fast);
        let cache = Arc::new(DecodedRows::new(8 << 20));
        for _ in 0..2 {
            let bound = Bound::with_cache(8 << 20, Some(Arc::clone(&cache)), false);
            let decoded = bound.decode(row.clone()).expect("it fits");
            assert_eq!(*decoded.expect("undamaged").segment, segment);
            assert!(bound.take(8 << 20).is_err(), "it was counted");
            let small = Bound::with_cache(16, Some(Arc::clone(&cache)), false);
            assert!(small.decode(row.clone()).is_err(), "it does not fit");
            assert!(cache.get(&row).is_some());
        }
        let mut damaged = row;
        *damaged.bytes.last_mut().expect("bytes") ^= 1;
        let bound = Bound::with_cache(8 << 20, Some(cache), false);
        assert!(bound.decode(damaged).expect("it fits").is_err());
    }
}
