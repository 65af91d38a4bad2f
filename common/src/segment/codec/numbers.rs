//! A column of numbers: one byte for the mode, then the numbers. The reader knows their count.

use super::budget::Budget;
use super::error::DecodeError;
use super::primitive::{Reader, put_varint, unzigzag, varint_len, zigzag};

/// Encoding of a column: the column's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    /// All are zero. Nothing follows.
    Zero = 0,
    /// All are equal. The number follows once.
    Constant = 1,
    /// Each as a varint.
    Plain = 2,
    /// Each as the zigzag varint of its difference to the previous one (the first: to zero).
    Delta = 3,
}

/// Appends `numbers` in the mode that takes the fewest bytes.
pub(crate) fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    let first = numbers.first().copied().unwrap_or(0);
    if numbers.iter().all(|&number| number == first) {
        if first == 0 {
            out.push(Mode::Zero as u8);
        } else {
            out.push(Mode::Constant as u8);
            put_varint(out, first);
        }
        return;
    }
    let plain: usize = numbers.iter().map(|&number| varint_len(number)).sum();
    let delta: usize = deltas(numbers).map(varint_len).sum();
    if delta < plain {
        out.push(Mode::Delta as u8);
        deltas(numbers).for_each(|number| put_varint(out, number));
    } else {
        out.push(Mode::Plain as u8);
        numbers.iter().for_each(|&number| put_varint(out, number));
    }
}

fn deltas(numbers: &[u64]) -> impl Iterator<Item = u64> + '_ {
    let mut previous = 0;
    numbers
        .iter()
        .map(move |&number| zigzag(number, std::mem::replace(&mut previous, number)))
}

/// A decoded column. Most columns of a live second repeat one number.
#[derive(Debug)]
pub(crate) enum Numbers {
    /// One number, and how often it is repeated.
    Same(u64, usize),
    /// Different numbers.
    Each(Vec<u64>),
}

impl Numbers {
    /// The number at `index`.
    ///
    /// # Panics
    /// May panic if `index` is not below the count.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> u64 {
        match self {
            Self::Same(number, _) => *number,
            Self::Each(numbers) => numbers[index],
        }
    }

    /// All numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let count = match self {
            Self::Same(_, count) => *count,
            Self::Each(numbers) => numbers.len(),
        };
        (0..count).map(|index| self.at(index))
    }
}

/// Reads `count` numbers. Charges them even if they take no memory, so that a loop over them
/// ends.
pub(crate) fn read_numbers(
    reader: &mut Reader<'_>,
    count: usize,
    budget: &mut Budget,
) -> Result<Numbers, DecodeError> {
    let mode = reader.byte()?;
    budget.charge::<u64>(count)?;
    if mode == Mode::Zero as u8 {
        return Ok(Numbers::Same(0, count));
    }
    if mode == Mode::Constant as u8 {
        return Ok(Numbers::Same(reader.varint()?, count));
    }
    if count > reader.rest().len() {
        return Err(DecodeError::Truncated("a column"));
    }
    let mut column = Vec::with_capacity(count);
    if mode == Mode::Plain as u8 {
        for _ in 0..count {
            column.push(reader.varint()?);
        }
    } else if mode == Mode::Delta as u8 {
        let mut previous = 0;
        for _ in 0..count {
            previous = unzigzag(reader.varint()?, previous);
            column.push(previous);
        }
    } else {
        return Err(DecodeError::Corrupt("a column has an unknown mode"));
    }
    Ok(Numbers::Each(column))
}
