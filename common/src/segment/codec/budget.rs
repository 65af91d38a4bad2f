//! Limits the memory for decoding.
//!
//! A few bytes can stand for many cells (a run of slots in a column of zeros),
//! and zstd multiplies too. So the decoder charges an allocation here first, unless
//! the input bytes bound its size.

use super::error::DecodeError;

/// The memory that one call of decode may still allocate.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    /// Granted to any input, however short, as an idle container's cells compress well.
    const BASE: usize = 16 << 20;
    /// Granted for each byte of input.
    const PER_BYTE: usize = 256;
    /// Maximum, whatever the input.
    const MAX: usize = 512 << 20;

    /// Maximum memory for decoding `input` bytes.
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

    /// The same budget, cut to `limit` bytes.
    pub(crate) fn at_most(self, limit: usize) -> Self {
        let limit = self.limit.min(limit);
        Self { left: limit, limit }
    }

    /// What is left, in bytes.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// What was charged, in bytes.
    pub(crate) fn used(&self) -> usize {
        self.limit - self.left
    }

    /// Gives back what was charged since `left` bytes were left, as it is freed.
    pub(crate) fn give_back(&mut self, left: usize) {
        self.left = left;
    }

    /// Charges the size of `count` values of type `T`.
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

    /// Charges and allocates a vector of capacity `count`.
    pub(crate) fn vec<T>(&mut self, count: usize) -> Result<Vec<T>, DecodeError> {
        self.charge::<T>(count)?;
        Ok(Vec::with_capacity(count))
    }
}
