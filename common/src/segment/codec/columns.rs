//! Columns that a later version may add to.
//!
//! The number of columns comes first. The last ones are left out if they say nothing, so a reader
//! takes missing columns as unknown, and a new column costs nothing where it is not used. A reader
//! cannot skip a column that it does not know, and refuses it.

use super::budget::Budget;
use super::error::DecodeError;
use super::numbers::{Numbers, read_numbers};
use super::primitive::Reader;
use super::text::read_texts;

/// Version 1 has a fixed number of columns in each part, and a table's length is never 0.
pub(super) const FIXED_COLUMNS: u8 = 1;

/// Appends the columns that `put` appends, up to the last one for which it returns that it says
/// something.
pub(super) fn put_columns(
    out: &mut Vec<u8>,
    count: usize,
    mut put: impl FnMut(&mut Vec<u8>, usize) -> bool,
) {
    let start = out.len();
    // A varint of one byte.
    debug_assert!(count < 0x80, "there are few columns");
    out.push(0);
    let mut end = out.len();
    for column in 0..count {
        if put(out, column) {
            out[start] = column as u8 + 1;
            end = out.len();
        }
    }
    out.truncate(end);
}

/// Reads how many columns of `part` follow. The reader knows `known`.
pub(super) fn read_columns(
    reader: &mut Reader<'_>,
    part: &'static str,
    known: usize,
) -> Result<usize, DecodeError> {
    let found = reader.varint()?;
    usize::try_from(found)
        .ok()
        .filter(|found| *found <= known)
        .ok_or(DecodeError::UnsupportedColumns { part, found, known })
}

/// The columns of a dictionary, from the first one on.
#[derive(Debug)]
pub(super) struct Columns {
    /// Columns that are left to read.
    left: usize,
    /// Number of rows.
    rows: usize,
}

impl Columns {
    /// `columns` columns of `rows` rows.
    pub(super) fn new(columns: usize, rows: usize) -> Self {
        Self {
            left: columns,
            rows,
        }
    }

    /// Reads the next column, which has numbers; zeros if it is missing.
    pub(super) fn numbers(
        &mut self,
        reader: &mut Reader<'_>,
        budget: &mut Budget,
    ) -> Result<Numbers, DecodeError> {
        if self.is_missing() {
            return Ok(Numbers::Same(0, self.rows));
        }
        read_numbers(reader, self.rows, budget)
    }

    /// Reads the next column, which has texts; empty ones if it is missing.
    pub(super) fn texts(
        &mut self,
        reader: &mut Reader<'_>,
        budget: &mut Budget,
    ) -> Result<Vec<String>, DecodeError> {
        if self.is_missing() {
            let mut texts = budget.vec(self.rows)?;
            texts.resize(self.rows, String::new());
            return Ok(texts);
        }
        read_texts(reader, self.rows, budget)
    }

    /// Counts the next column. Returns true if the segment ends before it.
    fn is_missing(&mut self) -> bool {
        let is_missing = self.left == 0;
        self.left = self.left.saturating_sub(1);
        is_missing
    }
}

#[cfg(test)]
mod tests {
    use super::super::dictionary::{put_processes, read_processes};
    use super::super::table::{Form, put_table, read_table};
    use super::*;
    use crate::segment::builder::Builder;
    use crate::segment::cell::{Cell, Row, Value};
    use crate::segment::loss::Loss;
    use crate::segment::process::{Memory, Process, ProcessId};
    use crate::segment::total::Total;
    use crate::segment::{ContainerId, Key, Resolution, SourceId};

    fn written<V: Value>(value: V) -> Vec<u8> {
        let mut bytes = Vec::new();
        let row = Row(0, 0);
        put_table(
            &mut bytes,
            &[Cell {
                row,
                slot: 0,
                value,
            }],
        );
        bytes
    }

    fn read<V: Value>(bytes: &[u8]) -> Result<Vec<V>, DecodeError> {
        let form = Form {
            name: "totals",
            version: 2,
            slots: 1,
            first: None,
            second: Some(1),
        };
        let mut reader = Reader::new(bytes, "a table");
        let cells = read_table(&mut reader, form, &mut Budget::for_input(bytes.len()))?;
        Ok(cells.iter().map(|cell: &Cell<V>| cell.value).collect())
    }

    #[test]
    fn a_table_with_more_columns_is_refused() {
        let later = written(Loss { count: 3, bytes: 4 });
        let refused = DecodeError::UnsupportedColumns {
            part: "totals",
            found: 2,
            known: 1,
        };
        assert_eq!(read::<Total>(&later), Err(refused));
    }

    #[test]
    fn missing_columns_are_zero() {
        let earlier = written(Total { value: 3 });
        assert_eq!(
            read::<Loss>(&earlier),
            Ok(vec![Loss { count: 3, bytes: 0 }])
        );
        // The later columns say nothing, so the earlier reader reads them.
        let later = written(Loss { count: 3, bytes: 0 });
        assert_eq!(read::<Total>(&later), Ok(vec![Total { value: 3 }]));
        assert_eq!(later, earlier);
    }

    #[test]
    fn private_memory_returns() {
        for private in [1, 7, 8] {
            let memory = Memory {
                vm: 9,
                rss: 8,
                swap: 0,
                private,
            };
            assert_eq!(read::<Memory>(&written(memory)), Ok(vec![memory]));
        }
    }

    #[test]
    fn a_process_with_more_columns_is_refused() {
        let key = Key {
            container: ContainerId::new("web").expect("an id"),
            resolution: Resolution::Second,
            start: 9,
            source: SourceId([1; 16]),
        };
        let process = |gid| {
            let mut builder = Builder::new(key.clone(), 1);
            builder.process(Process {
                gid,
                ..Process::new(ProcessId::default(), "p")
            });
            let segment = builder.build();
            let mut bytes = Vec::new();
            put_processes(&mut bytes, &segment);
            (segment.processes, bytes)
        };
        let read = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes, "processes");
            read_processes(&mut reader, 2, 9, &mut Budget::for_input(bytes.len()))
        };
        // The last one that says something is the name, or the group.
        for (gid, columns) in [(None, 10), (Some(0), 13)] {
            let (processes, mut bytes) = process(gid);
            assert_eq!(bytes[..2], [1, columns]);
            assert_eq!(read(&bytes), Ok(processes));
            bytes[1] = 14;
            let refused = DecodeError::UnsupportedColumns {
                part: "processes",
                found: 14,
                known: 13,
            };
            assert_eq!(read(&bytes), Err(refused));
        }
    }
}
