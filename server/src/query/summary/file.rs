//! Files of a range.

use serde::Serialize;

use super::rows::{busiest, keys, size_of_keys};
use crate::memory::MemoryError;
use crate::query::bound::Bound;
use crate::query::gaps::Gaps;
use crate::query::io::FileSums;
use crate::query::ledger::Ledger;

/// Files.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FilePanel {
    /// Bytes read by slot.
    pub r#in: Vec<Option<u64>>,
    /// Bytes written by slot.
    pub out: Vec<Option<u64>>,
    /// Opens by slot.
    pub opens: Vec<Option<u64>>,
    /// Files, busiest first.
    pub rows: Vec<FileInfo>,
    /// How many there are.
    pub total_rows: u64,
}

/// A file over all processes.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FileInfo {
    /// The file.
    #[serde(flatten)]
    pub file: FileSums,
    /// Keys of the processes.
    pub processes: Vec<String>,
}

impl FilePanel {
    pub(super) fn new(
        ledger: &Ledger<'_>,
        gaps: &Gaps<'_>,
        top: usize,
        bound: &Bound,
    ) -> Result<Self, MemoryError> {
        let series = &ledger.file_series;
        let (rows, total_rows) = busiest(&ledger.files, top, |io| {
            (
                io.bytes_in.saturating_add(io.bytes_out),
                io.opens.saturating_add(io.ops_in),
            )
        });
        let sizes = rows.iter().map(|row| {
            size_of::<FileInfo>() + FileSums::texts(row.entry) + size_of_keys(&row.processes)
        });
        bound.take(sizes.sum())?;
        Ok(Self {
            r#in: gaps.sums(series.iter().map(|io| io.bytes_in)),
            out: gaps.sums(series.iter().map(|io| io.bytes_out)),
            opens: gaps.sums(series.iter().map(|io| io.opens)),
            rows: rows
                .into_iter()
                .map(|row| FileInfo {
                    file: FileSums::new(row.entry, &row.sum),
                    processes: keys(ledger, &row.processes),
                })
                .collect(),
            total_rows,
        })
    }
}
