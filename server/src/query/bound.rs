//! Bounds the memory of a query.
//!
//! A query begins with a small reservation, beside others. One that needs more drops what it has and
//! begins again with a large one, alone. So nobody waits for memory while holding some.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bubble_common::segment::Segment;
use bubble_common::segment::codec::{DecodeError, memory_limit};

use super::error::QueryError;
use crate::memory::{Memory, MemoryError, Reservation};

/// Longest wait for memory.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(20);

/// Decoded segments take their own memory, and about as much again while they are merged and added up.
const TRANSIENT: usize = 2;

/// The memory that one query may still use.
#[derive(Debug)]
pub(in crate::query) struct Bound {
    left: AtomicUsize,
    limit: usize,
}

impl Bound {
    /// `limit` bytes.
    pub(in crate::query) fn new(limit: usize) -> Arc<Self> {
        let left = AtomicUsize::new(limit);
        Arc::new(Self { left, limit })
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

    /// Gives back `bytes` that were taken.
    pub(in crate::query) fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Decodes a segment. The outer error is that it does not fit, the inner one that it is damaged.
    ///
    /// # Errors
    /// When it needs more memory than is left.
    pub(in crate::query) fn decode(
        &self,
        bytes: &[u8],
    ) -> Result<Result<Segment, DecodeError>, MemoryError> {
        let room = self.left.load(Ordering::Relaxed) / TRANSIENT;
        match Segment::decode_limited(bytes, room) {
            Ok((segment, used)) => {
                self.take(used * TRANSIENT)?;
                Ok(Ok(segment))
            }
            Err(DecodeError::TooLarge { .. }) if room < memory_limit(bytes.len()) => {
                Err(self.exceeded())
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn exceeded(&self) -> MemoryError {
        MemoryError::TooLarge { limit: self.limit }
    }
}

/// One attempt to answer a query, with its reservation.
pub(in crate::query) struct Attempt {
    memory: Memory,
    bound: Arc<Bound>,
    is_large: bool,
    _held: Reservation,
}

impl Attempt {
    /// The first attempt, with a small reservation.
    pub(in crate::query) async fn first(memory: &Memory) -> Result<Self, QueryError> {
        let small = Memory::SMALL_QUERY;
        Ok(Self {
            memory: memory.clone(),
            bound: Bound::new(small),
            is_large: false,
            _held: memory.queries.reserve(small, MEMORY_TIMEOUT).await?,
        })
    }

    /// What this attempt may use.
    pub(in crate::query) fn bound(&self) -> Arc<Bound> {
        Arc::clone(&self.bound)
    }

    /// Breaks with the result of this attempt, or continues with a larger one.
    pub(in crate::query) async fn settle<T>(
        self,
        done: Result<T, QueryError>,
    ) -> Result<ControlFlow<T, Self>, QueryError> {
        let too_large = matches!(done, Err(QueryError::Memory(MemoryError::TooLarge { .. })));
        if self.is_large || !too_large {
            return done.map(ControlFlow::Break);
        }
        let memory = self.memory.clone();
        drop(self);
        let large = &memory.large_query;
        let held = large.reserve(large.size(), MEMORY_TIMEOUT).await?;
        Ok(ControlFlow::Continue(Self {
            bound: Bound::new(large.size()),
            is_large: true,
            _held: held,
            memory,
        }))
    }
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::codec::Effort;
    use bubble_testing::arbitrary;
    use proptest::strategy::{Strategy as _, ValueTree as _};
    use proptest::test_runner::TestRunner;

    use super::Bound;

    #[test]
    fn a_segment_is_decoded_if_it_fits_and_counts() {
        let mut runner = TestRunner::deterministic();
        let segment = arbitrary::segment(8).new_tree(&mut runner);
        let segment = segment.expect("a segment").current();
        let bytes = segment.encode(Effort::Fast);
        let bound = Bound::new(8 << 20);
        let decoded = bound.decode(&bytes).expect("it fits");
        assert_eq!(decoded.as_ref(), Ok(&segment));
        assert!(bound.take(8 << 20).is_err(), "it was counted");
        assert!(Bound::new(16).decode(&bytes).is_err(), "it does not fit");
        // Damaged bytes are no question of memory.
        let damaged = bound.decode(&bytes[..bytes.len() - 1]).expect("it fits");
        assert!(damaged.is_err());
    }
}
