//! Encoded answers. Their bytes count against the memory of the query that makes them.

use std::io::{self, Write};

use serde::Serialize;

use super::bound::Bound;
use super::error::QueryError;
use crate::memory::{MemoryError, Reservation};

/// Bytes that are taken at first.
const MIN_ROOM: usize = 4 << 10;

/// An encoded answer.
#[derive(Debug)]
pub struct Encoded<R = ()> {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The memory that they take, of the query. It is to be given back as soon as the bytes count elsewhere.
    pub held: Reservation,
    /// What else the encoder returned.
    pub result: R,
}

/// Collects the bytes of an answer, as far as there is memory for them.
pub struct Output<'b> {
    bytes: Vec<u8>,
    bound: &'b Bound,
    /// Bytes at most.
    limit: usize,
    error: Option<MemoryError>,
}

impl<'b> Output<'b> {
    /// An empty one. It has room for `limit` bytes, if `bound` has.
    pub(super) fn new(bound: &'b Bound, limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            bound,
            limit,
            error: None,
        }
    }

    /// Collects what `write` writes.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn collect<R>(
        mut self,
        write: impl FnOnce(&mut Self) -> io::Result<R>,
    ) -> Result<(Vec<u8>, R), QueryError> {
        match (write(&mut self), self.error) {
            (Ok(result), None) => Ok((self.bytes, result)),
            (_, Some(error)) => Err(error.into()),
            // Answers can always be encoded.
            (Err(_), None) => Err(QueryError::Panicked),
        }
    }

    /// Makes room for `more` bytes. Doubles, so that few copies are made.
    fn reserve(&mut self, more: usize) -> Result<(), MemoryError> {
        let (length, room) = (self.bytes.len() + more, self.bytes.capacity());
        if length <= room {
            return Ok(());
        }
        let limit = self.limit;
        if length > limit {
            return Err(MemoryError::TooLarge { limit });
        }
        let target = length.max(2 * room).max(MIN_ROOM).min(limit);
        self.bound.take(target - room)?;
        self.bytes.reserve_exact(target - self.bytes.len());
        Ok(())
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.reserve(bytes.len()) {
            self.error = Some(error);
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes `value` as JSON.
///
/// # Errors
/// When there is no memory for it.
pub fn write_json<T: Serialize>(value: &T, output: &mut Output<'_>) -> io::Result<()> {
    serde_json::to_writer(output, value).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::super::bound::Bound;
    use super::{Output, write_json};

    #[test]
    fn what_is_written_is_taken_from_the_bound() {
        let text = "x".repeat(100_000);
        let write = |bytes, limit| {
            let bound = Bound::new(bytes);
            let written = Output::new(&bound, limit).collect(|output| write_json(&text, output));
            (written.map(|(bytes, ())| bytes.len()).ok(), bound)
        };
        let (length, bound) = write(400_000, usize::MAX);
        assert_eq!(length, Some(text.len() + 2));
        assert!(bound.take(300_001).is_err(), "it was counted");
        assert_eq!(write(50_000, usize::MAX).0, None);
        assert_eq!(write(400_000, 50_000).0, None);
    }
}
