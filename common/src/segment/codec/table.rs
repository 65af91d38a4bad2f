//! Encodes and decodes a table of cells: its rows, the slots of each row, then the columns of values.

use super::budget::Budget;
use super::columns::{FIXED_COLUMNS, put_columns, read_columns};
use super::error::DecodeError;
use super::numbers::{Numbers, put_numbers, read_numbers};
use super::primitive::{Reader, narrow, put_bytes, put_varint};
use super::values::{put_values, read_values, resolve};
use crate::segment::cell::{Cell, Row, Value};

/// Appends a table after its length, so that a reader can skip it. A table without cells is only
/// the length.
pub(super) fn put_table<V: Value>(out: &mut Vec<u8>, cells: &[Cell<V>]) {
    let mut body = Vec::new();
    if cells.is_empty() {
        put_bytes(out, &body);
        return;
    }
    let rows: Vec<&[Cell<V>]> = cells.chunk_by(|a, b| a.row == b.row).collect();
    put_varint(&mut body, rows.len() as u64);
    put_rows(&mut body, &rows);
    put_slots(&mut body, &rows);
    put_columns(&mut body, V::COLUMNS, |body, column| {
        put_values(body, &rows, column)
    });
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

/// Format of a table, and bounds for the slots and indices of its cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Name of its cells, for error messages.
    pub(super) name: &'static str,
    /// Version of the format.
    pub(super) version: u8,
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
    form: Form,
    budget: &mut Budget,
) -> Result<Vec<Cell<V>>, DecodeError> {
    let mut reader = Reader::new(reader.bytes()?, "a table");
    if form.version > FIXED_COLUMNS && reader.rest().is_empty() {
        return Ok(Vec::new());
    }
    let rows = read_rows(&mut reader, budget)?;
    for row in &rows {
        let within = |index: u32, bound: Option<usize>| bound.is_none_or(|n| (index as usize) < n);
        if !within(row.0, form.first) || !within(row.1, form.second) {
            return Err(DecodeError::Corrupt("a row names an unknown entry"));
        }
    }
    let (mut cells, ends) = read_cells::<V>(&mut reader, &rows, form.slots, budget)?;
    let columns = match form.version {
        FIXED_COLUMNS => V::COLUMNS_OF_VERSION_1,
        _ => read_columns(&mut reader, form.name, V::COLUMNS)?,
    };
    let mut unresolved = Vec::new();
    for column in 0..columns {
        let of = (column, form.version);
        let read = read_values(&mut reader, &mut cells, &ends, of, budget)?;
        unresolved.extend(read);
    }
    reader.finish()?;
    resolve(&mut cells, &ends, &unresolved);
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
