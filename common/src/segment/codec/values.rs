//! Encodes and decodes a column of values of a table: what one field of its cells is, by row and slot.
//!
//! What stays the same should take no bytes. So the numbers of a row may be in a unit of the row (pages,
//! microseconds, blocks), or as multiples of another field (bytes of operations: most are of one size).
//! The encoder takes what is shortest.

use super::budget::Budget;
use super::columns::FIXED_COLUMNS;
use super::error::DecodeError;
use super::numbers::{Numbers, put_numbers, read_numbers};
use super::primitive::{Reader, put_varint, unzigzag, varint_len, zigzag};
use crate::segment::cell::{Cell, Value};

/// Encoding of a column of values: the column's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    /// All are zero. Nothing follows.
    Zero = 0,
    /// All are equal. The value follows once.
    Constant = 1,
    /// Each as a varint.
    Plain = 2,
    /// Each as the zigzag varint of its difference to the previous one in its row (the first: to zero).
    Delta = 3,
    /// A column of factors, one for each row. Then each as the zigzag varint of its difference to the
    /// product of factor and reference ([`Value::MULTIPLES`]). Since version 2.
    Multiple = 16,
}

/// Set in the mode of a column if its numbers are in units of [`PAGE`]: sizes of memory. Since
/// version 2.
const IN_PAGES: u8 = 4;
/// 4,096, as a shift.
const PAGE: u32 = 12;
/// Set in the mode of a column if a column of units follows, one for each row, and its numbers are in
/// units of their row. Since version 2.
const IN_UNITS: u8 = 8;

/// Appends a column of values. Returns whether any is not zero.
pub(super) fn put_values<V: Value>(out: &mut Vec<u8>, rows: &[&[Cell<V>]], column: usize) -> bool {
    let numbers = || {
        rows.iter()
            .flat_map(|cells| cells.iter().map(|cell| cell.value.get(column)))
    };
    let first = numbers().next().unwrap_or(0);
    let bits = numbers().fold(0, |bits, number| bits | number);
    let (unit, shift) = match bits.trailing_zeros() {
        PAGE..64 => (IN_PAGES, PAGE),
        _ => (0, 0),
    };
    if numbers().all(|number| number == first) {
        if first == 0 {
            out.push(Mode::Zero as u8);
        } else {
            out.push(Mode::Constant as u8 | unit);
            put_varint(out, first >> shift);
        }
        return first != 0;
    }
    if rows.iter().all(|cells| cells.len() == 1) {
        // A live second: rows have nothing in common, and there is no time to look for it.
        put_single(out, numbers().map(|number| number >> shift), unit);
        return true;
    }
    let mut best = Coded::new(rows, column, unit, |_| 1 << shift);
    if let Some(coded) = Coded::in_units(rows, column) {
        best = best.or(coded);
    }
    if let Some(reference) = reference::<V>(column) {
        best = best.or(Coded::multiple(rows, column, reference));
    }
    best.put(out);
    true
}

/// Appends a column of rows with one cell each, in which a difference is the number itself.
fn put_single(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>, unit: u8) {
    out.push(Mode::Plain as u8 | unit);
    numbers.for_each(|number| put_varint(out, number));
}

/// The column that `column` may be a multiple of.
fn reference<V: Value>(column: usize) -> Option<usize> {
    let pair = V::MULTIPLES.iter().find(|pair| pair.0 == column);
    pair.map(|pair| pair.1)
}

/// A column as it may be written.
struct Coded {
    mode: u8,
    /// The units or factors of the rows, encoded.
    of_rows: Vec<u8>,
    numbers: Vec<u64>,
    /// What it takes about, once it is compressed, in quarters of a byte.
    cost: usize,
}

impl Coded {
    fn with(mode: u8, of_rows: Vec<u8>, numbers: Vec<u64>) -> Self {
        let cost = |number: &u64| match number {
            0 => 1,
            number => 4 * varint_len(*number),
        };
        Self {
            cost: 4 * of_rows.len() + numbers.iter().map(cost).sum::<usize>(),
            mode,
            of_rows,
            numbers,
        }
    }

    /// The numbers in units, plain or as differences, whichever is shorter.
    fn new<V: Value>(
        rows: &[&[Cell<V>]],
        column: usize,
        flags: u8,
        unit: impl Fn(usize) -> u64,
    ) -> Self {
        let (mut plain, mut deltas) = (Vec::new(), Vec::new());
        for (row, cells) in rows.iter().enumerate() {
            let (unit, mut previous) = (unit(row), 0);
            for cell in *cells {
                let number = cell.value.get(column) / unit;
                plain.push(number);
                deltas.push(zigzag(number, std::mem::replace(&mut previous, number)));
            }
        }
        let plain = Self::with(Mode::Plain as u8 | flags, Vec::new(), plain);
        plain.or(Self::with(Mode::Delta as u8 | flags, Vec::new(), deltas))
    }

    /// The numbers in units of their rows, if there are any.
    fn in_units<V: Value>(rows: &[&[Cell<V>]], column: usize) -> Option<Self> {
        let unit = |cells: &&[Cell<V>]| {
            let numbers = cells.iter().map(|cell| cell.value.get(column));
            numbers.fold(0, greatest_common_divisor).max(1)
        };
        let units: Vec<u64> = rows.iter().map(unit).collect();
        if units.iter().all(|unit| *unit == 1) {
            return None;
        }
        let coded = Self::new(rows, column, IN_UNITS, |row| units[row]);
        let mut of_rows = Vec::new();
        put_numbers(&mut of_rows, &units);
        Some(Self::with(coded.mode, of_rows, coded.numbers))
    }

    /// The numbers as multiples of those in column `reference`.
    fn multiple<V: Value>(rows: &[&[Cell<V>]], column: usize, reference: usize) -> Self {
        let (mut factors, mut numbers) = (Vec::new(), Vec::new());
        for cells in rows {
            let pair = |cell: &Cell<V>| (cell.value.get(column), cell.value.get(reference));
            let differences = |factor: u64| {
                let pairs = cells.iter().map(pair);
                pairs.map(move |(number, of)| zigzag(number, factor.wrapping_mul(of)))
            };
            let length = |factor: &u64| differences(*factor).map(varint_len).sum::<usize>();
            let [median, mean] = factors_of(cells.iter().map(pair));
            let factor = if length(&mean) < length(&median) {
                mean
            } else {
                median
            };
            numbers.extend(differences(factor));
            factors.push(factor);
        }
        let mut of_rows = Vec::new();
        put_numbers(&mut of_rows, &factors);
        Self::with(Mode::Multiple as u8, of_rows, numbers)
    }

    /// The shorter one; this one if both are equal.
    fn or(self, other: Self) -> Self {
        if other.cost < self.cost { other } else { self }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.mode);
        out.extend_from_slice(&self.of_rows);
        self.numbers
            .iter()
            .for_each(|&number| put_varint(out, number));
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The median of the quotients of each pair, and the quotient of the sums.
fn factors_of(pairs: impl Iterator<Item = (u64, u64)> + Clone) -> [u64; 2] {
    let sum = |sum: u128, number: u64| sum + u128::from(number);
    let numbers = pairs.clone().map(|pair| pair.0).fold(0, sum);
    let of = pairs.clone().map(|pair| pair.1).fold(0, sum);
    let quotients = pairs.filter_map(|(number, of)| number.checked_div(of));
    let mut quotients: Vec<u64> = quotients.collect();
    quotients.sort_unstable();
    let median = quotients.get(quotients.len() / 2).copied().unwrap_or(0);
    let mean = numbers.checked_div(of).unwrap_or(0);
    [median, u64::try_from(mean).unwrap_or(0)]
}

/// The factors of a column whose values are differences so far: see [`resolve`].
pub(super) struct Unresolved {
    column: usize,
    factors: Numbers,
}

/// Reads what [`put_values`] wrote. `ends` has the end of each row among `cells`.
pub(super) fn read_values<V: Value>(
    reader: &mut Reader<'_>,
    cells: &mut [Cell<V>],
    ends: &[usize],
    (column, version): (usize, u8),
    budget: &mut Budget,
) -> Result<Option<Unresolved>, DecodeError> {
    let mut mode = reader.byte()?;
    let is_first = version == FIXED_COLUMNS;
    if !is_first && mode == Mode::Multiple as u8 && reference::<V>(column).is_some() {
        let factors = read_numbers(reader, ends.len(), budget)?;
        for cell in cells {
            cell.value.set(column, reader.varint()?);
        }
        return Ok(Some(Unresolved { column, factors }));
    }
    if !is_first
        && [Mode::Plain, Mode::Delta]
            .map(|m| m as u8 | IN_UNITS)
            .contains(&mode)
    {
        let units = read_numbers(reader, ends.len(), budget)?;
        let is_delta = mode == Mode::Delta as u8 | IN_UNITS;
        read_rows(reader, cells, ends, column, is_delta, |row, number| {
            number.checked_mul(units.at(row))
        })?;
        return Ok(None);
    }
    let mut shift = 0;
    if !is_first && mode & IN_PAGES != 0 {
        (mode, shift) = (mode ^ IN_PAGES, PAGE);
    }
    let in_bytes = |number: u64| (number.leading_zeros() >= shift).then(|| number << shift);
    if mode == Mode::Zero as u8 {
        // The cells are zero already.
    } else if mode == Mode::Constant as u8 {
        let value = in_bytes(reader.varint()?).ok_or(TOO_LARGE)?;
        cells
            .iter_mut()
            .for_each(|cell| cell.value.set(column, value));
    } else if mode == Mode::Plain as u8 {
        for cell in cells {
            let value = in_bytes(reader.varint()?).ok_or(TOO_LARGE)?;
            cell.value.set(column, value);
        }
    } else if mode == Mode::Delta as u8 {
        read_rows(reader, cells, ends, column, true, |_, number| {
            in_bytes(number)
        })?;
    } else {
        return Err(DecodeError::Corrupt("a column has an unknown mode"));
    }
    Ok(None)
}

const TOO_LARGE: DecodeError = DecodeError::Corrupt("a number has more than 64 bits");

/// Reads the numbers of each row, plain or as differences. `value` gets the row and a number in units.
fn read_rows<V: Value>(
    reader: &mut Reader<'_>,
    cells: &mut [Cell<V>],
    ends: &[usize],
    column: usize,
    is_delta: bool,
    value: impl Fn(usize, u64) -> Option<u64>,
) -> Result<(), DecodeError> {
    let mut start = 0;
    for (row, &end) in ends.iter().enumerate() {
        let mut previous = 0;
        for cell in &mut cells[start..end] {
            let number = reader.varint()?;
            previous = match is_delta {
                true => unzigzag(number, previous),
                false => number,
            };
            let value = value(row, previous).ok_or(TOO_LARGE)?;
            cell.value.set(column, value);
        }
        start = end;
    }
    Ok(())
}

/// Makes values of the differences in `columns`, now that all columns are read.
pub(super) fn resolve<V: Value>(cells: &mut [Cell<V>], ends: &[usize], columns: &[Unresolved]) {
    for &(column, reference) in V::MULTIPLES {
        let Some(unresolved) = columns.iter().find(|of| of.column == column) else {
            continue;
        };
        let mut start = 0;
        for (row, &end) in ends.iter().enumerate() {
            let factor = unresolved.factors.at(row);
            for cell in &mut cells[start..end] {
                let product = factor.wrapping_mul(cell.value.get(reference));
                let value = unzigzag(cell.value.get(column), product);
                cell.value.set(column, value);
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::cell::Row;
    use crate::segment::file::FileIo;
    use crate::segment::network::NetworkIo;
    use crate::segment::total::Total;

    fn cells<V: Value>(rows: &[&[V]]) -> Vec<Cell<V>> {
        let cells = (0..).zip(rows).flat_map(|(row, values)| {
            let of_row = (0..).zip(*values);
            of_row.map(move |(slot, value)| Cell {
                row: Row(row, 0),
                slot,
                value: *value,
            })
        });
        cells.collect()
    }

    fn written<V: Value>(cells: &[Cell<V>]) -> Vec<u8> {
        let rows: Vec<_> = cells.chunk_by(|a, b| a.row == b.row).collect();
        let mut out = Vec::new();
        for column in 0..V::COLUMNS {
            put_values(&mut out, &rows, column);
        }
        out
    }

    fn read<V: Value>(
        like: &[Cell<V>],
        bytes: &[u8],
        version: u8,
    ) -> Result<Vec<Cell<V>>, DecodeError> {
        let mut cells = like.to_vec();
        cells.iter_mut().for_each(|cell| cell.value = V::default());
        let rows = like.chunk_by(|a, b| a.row == b.row);
        let ends: Vec<usize> = rows
            .scan(0, |end, row| {
                *end += row.len();
                Some(*end)
            })
            .collect();
        let mut reader = Reader::new(bytes, "columns");
        let mut budget = Budget::for_input(bytes.len());
        let mut columns = Vec::new();
        for column in 0..V::COLUMNS {
            let of = (column, version);
            columns.extend(read_values(
                &mut reader,
                &mut cells,
                &ends,
                of,
                &mut budget,
            )?);
        }
        reader.finish()?;
        resolve(&mut cells, &ends, &columns);
        Ok(cells)
    }

    #[test]
    fn numbers_in_units_of_their_row_return() {
        let of = |numbers: &[u64]| {
            numbers
                .iter()
                .map(|n| Total { value: *n })
                .collect::<Vec<_>>()
        };
        let micros: Vec<u64> = (0..20).map(|n| 7_000 + n * 3 % 5 * 1_000).collect();
        let pages: Vec<u64> = (0..20).map(|n| 40_960 + n * 7 % 4 * 4_096).collect();
        let (micros, pages) = (of(&micros), of(&pages));
        let (odd, zeros) = (of(&[3, u64::MAX, 5]), of(&[0, 0, 0]));
        let cells = cells(&[&micros[..], &pages, &odd, &zeros]);
        let bytes = written(&cells);
        assert_eq!(bytes[0] & IN_UNITS, IN_UNITS);
        assert_eq!(read(&cells, &bytes, 2), Ok(cells.clone()));
        // An earlier format does not have this mode.
        assert!(read(&cells, &bytes, 1).is_err());
        // A unit that is too large.
        let large = [
            2 | IN_UNITS,
            1,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            0xff,
            1,
        ];
        let bytes = [&large[..], &[1; 45], &[2]].concat();
        assert_eq!(read(&cells, &bytes, 2), Err(TOO_LARGE));
    }

    #[test]
    fn multiples_of_operations_return() {
        let io = |ops: u64, short: u64| FileIo {
            bytes_in: ops * 8_192 - short,
            ops_in: ops,
            opens: ops,
            ..FileIo::default()
        };
        let blocks = [
            io(1, 0),
            io(700, 0),
            io(9, 5),
            io(33, 0),
            io(u64::MAX / 8_192, 0),
        ];
        let cells_of_files = cells(&[&blocks[..], &[FileIo::default(); 3]]);
        let bytes = written(&cells_of_files);
        assert_eq!(bytes[0], Mode::Multiple as u8);
        assert_eq!(read(&cells_of_files, &bytes, 2), Ok(cells_of_files.clone()));
        // A column that is a multiple of one that is a multiple of another.
        let io = |calls: u64| NetworkIo {
            bytes_in: calls * 1_460,
            bytes_out: calls * 90,
            ops_in: calls * 2,
            ops_out: calls,
            ..NetworkIo::default()
        };
        let calls: Vec<NetworkIo> = (0..60).map(|n| io(1_000 + n * 7_919 % 500)).collect();
        let cells_of_peers = cells(&[&calls[..]]);
        let bytes = written(&cells_of_peers);
        assert!(bytes.len() < 6 * 60, "{} bytes", bytes.len());
        assert_eq!(read(&cells_of_peers, &bytes, 2), Ok(cells_of_peers.clone()));
        assert!(read(&cells_of_peers, &bytes, 1).is_err());
    }

    #[test]
    fn only_some_columns_can_be_multiples() {
        let total = [Total { value: 1 }, Total { value: 2 }];
        let cells = cells(&[&total[..]]);
        let bytes = [Mode::Multiple as u8, 0, 1, 1];
        assert!(read(&cells, &bytes, 2).is_err());
    }
}
