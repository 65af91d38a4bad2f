//! Encodes and decodes a table of cells: its rows, the slots of each row, then the columns of values.

use super::budget::Budget;
use super::error::DecodeError;
use super::numbers::{Numbers, put_numbers, read_numbers};
use super::primitive::{Reader, narrow, put_bytes, put_varint, unzigzag, varint_len, zigzag};
use crate::segment::cell::{Cell, Row, Value};

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
}

/// Appends a table after its length, so that a reader can skip it.
pub(super) fn put_table<V: Value>(out: &mut Vec<u8>, cells: &[Cell<V>]) {
    let mut body = Vec::new();
    let rows: Vec<&[Cell<V>]> = cells.chunk_by(|a, b| a.row == b.row).collect();
    put_varint(&mut body, rows.len() as u64);
    put_rows(&mut body, &rows);
    put_slots(&mut body, &rows);
    for column in 0..V::COLUMNS {
        put_values(&mut body, &rows, column);
    }
    put_bytes(out, &body);
}

/// Appends the first indices, then the second indices. A second index is relative to the previous
/// row if the first indices are equal.
fn put_rows<V>(out: &mut Vec<u8>, rows: &[&[Cell<V>]]) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut previous: Option<Row> = None;
    for cells in rows {
        let row = cells[0].row;
        let base = previous.unwrap_or(Row(0, 0));
        first.push(u64::from(row.0 - base.0));
        second.push(u64::from(match previous {
            Some(previous) if previous.0 == row.0 => row.1 - previous.1 - 1,
            _ => row.1,
        }));
        previous = Some(row);
    }
    put_numbers(out, &first);
    put_numbers(out, &second);
}

fn read_rows(reader: &mut Reader<'_>, budget: &mut Budget) -> Result<Vec<Row>, DecodeError> {
    const WHAT: &str = "a row's index has more than 32 bits";
    let count = reader.length()?;
    let first = read_numbers(reader, count, budget)?;
    let second = read_numbers(reader, count, budget)?;
    let mut rows = budget.vec(count)?;
    let mut previous: Option<Row> = None;
    for (first, second) in first.iter().zip(second.iter()) {
        let base = previous.map_or(0, |row| u64::from(row.0));
        let second = match previous {
            Some(previous) if first == 0 => second
                .checked_add(u64::from(previous.1) + 1)
                .ok_or(DecodeError::Corrupt(WHAT))?,
            _ => second,
        };
        let first = base.checked_add(first).ok_or(DecodeError::Corrupt(WHAT))?;
        let row = Row(narrow(first, WHAT)?, narrow(second, WHAT)?);
        rows.push(row);
        previous = Some(row);
    }
    Ok(rows)
}

/// Appends the slots as runs: the number of runs of each row, then for all runs the gaps before
/// them and their lengths. Numbers and lengths are less one.
fn put_slots<V>(out: &mut Vec<u8>, rows: &[&[Cell<V>]]) {
    let (mut counts, mut gaps, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for cells in rows {
        let mut free = 0;
        let mut count = 0;
        for run in cells.chunk_by(|a, b| a.slot + 1 == b.slot) {
            gaps.push(u64::from(run[0].slot - free));
            lengths.push(run.len() as u64 - 1);
            // At least one slot is between two runs, so the gap is counted from the slot after it.
            free = run[run.len() - 1].slot + 2;
            count += 1;
        }
        counts.push(count - 1);
    }
    put_numbers(out, &counts);
    put_numbers(out, &gaps);
    put_numbers(out, &lengths);
}

/// Bounds for the slots and indices of a table's cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Slots of the segment.
    pub(super) slots: u32,
    /// Length of the dictionary that the first index refers to, if any.
    pub(super) first: Option<usize>,
    /// The same for the second index.
    pub(super) second: Option<usize>,
}

/// Reads what [`put_table`] wrote.
pub(super) fn read_table<V: Value>(
    reader: &mut Reader<'_>,
    bounds: Bounds,
    budget: &mut Budget,
) -> Result<Vec<Cell<V>>, DecodeError> {
    let mut reader = Reader::new(reader.bytes()?, "a table");
    let rows = read_rows(&mut reader, budget)?;
    for row in &rows {
        let within = |index: u32, bound: Option<usize>| bound.is_none_or(|n| (index as usize) < n);
        if !within(row.0, bounds.first) || !within(row.1, bounds.second) {
            return Err(DecodeError::Corrupt("a row names an unknown entry"));
        }
    }
    let (mut cells, ends) = read_cells::<V>(&mut reader, &rows, bounds.slots, budget)?;
    for column in 0..V::COLUMNS {
        read_values(&mut reader, &mut cells, &ends, column)?;
    }
    reader.finish()?;
    Ok(cells)
}

/// Reads the slots. Returns the cells, without values yet, and the end of each row among them.
fn read_cells<V: Value>(
    reader: &mut Reader<'_>,
    rows: &[Row],
    slots: u32,
    budget: &mut Budget,
) -> Result<(Vec<Cell<V>>, Vec<usize>), DecodeError> {
    let counts = read_numbers(reader, rows.len(), budget)?;
    let total = counts
        .iter()
        .try_fold(0_usize, |total, count| {
            total.checked_add(usize::try_from(count).ok()?.checked_add(1)?)
        })
        .ok_or(DecodeError::Truncated("a table"))?;
    let gaps = read_numbers(reader, total, budget)?;
    let lengths = read_numbers(reader, total, budget)?;
    // The loop below rejects a run that is longer than the segment.
    let cells = lengths
        .iter()
        .try_fold(total, |cells, length| {
            cells.checked_add(usize::try_from(length).ok()?)
        })
        .ok_or(DecodeError::Truncated("a table"))?;
    let mut cells = budget.vec::<Cell<V>>(cells)?;
    let mut ends = budget.vec(rows.len())?;
    if let (Numbers::Same(0, _), Numbers::Same(0, _), Numbers::Same(0, _), 1..) =
        (&counts, &gaps, &lengths, slots)
    {
        // A live second: each row has one slot.
        cells.extend(rows.iter().map(|&row| Cell {
            row,
            slot: 0,
            value: V::default(),
        }));
        ends.extend(1..=rows.len());
        return Ok((cells, ends));
    }
    let mut runs = gaps.iter().zip(lengths.iter());
    for (&row, count) in rows.iter().zip(counts.iter()) {
        let mut free = 0_u64;
        for (gap, length) in runs.by_ref().take(count as usize + 1) {
            let start = free.saturating_add(gap);
            let end = start.saturating_add(length).saturating_add(1);
            if end > u64::from(slots) {
                return Err(DecodeError::Corrupt("a cell is beyond the last slot"));
            }
            cells.extend((start as u32..end as u32).map(|slot| Cell {
                row,
                slot,
                value: V::default(),
            }));
            free = end + 1;
        }
        ends.push(cells.len());
    }
    Ok((cells, ends))
}

fn put_values<V: Value>(out: &mut Vec<u8>, rows: &[&[Cell<V>]], column: usize) {
    let values = || {
        rows.iter()
            .map(|cells| cells.iter().map(|cell| cell.value.get(column)))
    };
    let first = values().flatten().next().unwrap_or(0);
    if values().flatten().all(|value| value == first) {
        if first == 0 {
            out.push(Mode::Zero as u8);
        } else {
            out.push(Mode::Constant as u8);
            put_varint(out, first);
        }
        return;
    }
    let deltas = || {
        values().flat_map(|row| {
            row.scan(0, |previous, value| {
                Some(zigzag(value, std::mem::replace(previous, value)))
            })
        })
    };
    let plain: usize = values().flatten().map(varint_len).sum();
    let delta: usize = deltas().map(varint_len).sum();
    if delta < plain {
        out.push(Mode::Delta as u8);
        deltas().for_each(|value| put_varint(out, value));
    } else {
        out.push(Mode::Plain as u8);
        values().flatten().for_each(|value| put_varint(out, value));
    }
}

fn read_values<V: Value>(
    reader: &mut Reader<'_>,
    cells: &mut [Cell<V>],
    ends: &[usize],
    column: usize,
) -> Result<(), DecodeError> {
    let mode = reader.byte()?;
    if mode == Mode::Zero as u8 {
        // The cells are zero already.
    } else if mode == Mode::Constant as u8 {
        let value = reader.varint()?;
        cells
            .iter_mut()
            .for_each(|cell| cell.value.set(column, value));
    } else if mode == Mode::Plain as u8 {
        for cell in cells {
            cell.value.set(column, reader.varint()?);
        }
    } else if mode == Mode::Delta as u8 {
        let mut start = 0;
        for &end in ends {
            let mut previous = 0;
            for cell in &mut cells[start..end] {
                previous = unzigzag(reader.varint()?, previous);
                cell.value.set(column, previous);
            }
            start = end;
        }
    } else {
        return Err(DecodeError::Corrupt("a column has an unknown mode"));
    }
    Ok(())
}
