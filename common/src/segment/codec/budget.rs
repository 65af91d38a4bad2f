//! How much memory decoding may take.
//!
//! A few bytes can stand for many cells (a run of slots in a column of zeros),
//! and zstd multiplies too. So everything whose size does not follow from bytes
//! already in memory is charged here before it is allocated.

use super::error::DecodeError;

/// What is left of the memory that one call of decode may allocate.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    /// Granted to any input, however short: an idle container's cells compress well.
    const BASE: usize = 16 << 20;
    /// Granted for each byte of input.
    const PER_BYTE: usize = 256;
    /// Never more than this.
    const MAX: usize = 512 << 20;

    /// The most that decoding `input` bytes may allocate.
    pub(crate) fn limit_for(input: usize) -> usize {
        input
            .saturating_mul(Self::PER_BYTE)
            .saturating_add(Self::BASE)
            .min(Self::MAX)
    }

    /// The budget for decoding `input` bytes.
    pub(crate) fn for_input(input: usize) -> Self {
        let limit = Self::limit_for(input);
        Self { left: limit, limit }
    }

    /// Takes the size of `count` values of type `T`.
    pub(crate) fn charge<T>(&mut self, count: usize) -> Result<(), DecodeError> {
        let left = size_of::<T>()
            .checked_mul(count)
            .and_then(|bytes| self.left.checked_sub(bytes));
        match left {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(DecodeError::TooLarge { limit: self.limit }),
        }
    }

    /// A vector with room for `count` values, charged.
    pub(crate) fn vec<T>(&mut self, count: usize) -> Result<Vec<T>, DecodeError> {
        self.charge::<T>(count)?;
        Ok(Vec::with_capacity(count))
    }
}
