//! The tables of packed rows, one for each resolution. Each has its own time to live and its own
//! compaction window, so that Cassandra deletes whole files of one age.

use bubble_common::segment::Resolution;

/// Statements for one table. A partition holds [`bucket_spans`] packed spans of a container.
pub(super) struct Table {
    /// Selects the packed rows of a range.
    pub(super) range: &'static str,
    /// Selects the slots of the rows of one span.
    pub(super) slots: &'static str,
    /// Selects sources and starts of all rows of a partition.
    pub(super) keys: &'static str,
    /// Selects digest and bytes of a row.
    pub(super) row: &'static str,
    pub(super) insert: &'static str,
    pub(super) replace: &'static str,
    pub(super) delete: &'static str,
}

macro_rules! table {
    ($name:literal) => {
        Table {
            range: concat!(
                "SELECT start, source, bytes FROM ",
                $name,
                " WHERE container = ? AND bucket = ? AND start >= ? AND start < ?"
            ),
            slots: concat!(
                "SELECT source, slots FROM ",
                $name,
                " WHERE container = ? AND bucket = ? AND start = ?"
            ),
            keys: concat!(
                "SELECT start, source FROM ",
                $name,
                " WHERE container = ? AND bucket = ?"
            ),
            row: concat!(
                "SELECT digest, bytes FROM ",
                $name,
                " WHERE container = ? AND bucket = ? AND start = ? AND source = ?"
            ),
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (container, bucket, start, source, slots, digest, bytes)
                 VALUES (?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?"
            ),
            replace: concat!(
                "UPDATE ",
                $name,
                " USING TTL ? SET slots = ?, digest = ?, bytes = ?
                 WHERE container = ? AND bucket = ? AND start = ? AND source = ? IF digest = ?"
            ),
            delete: concat!(
                "DELETE FROM ",
                $name,
                " WHERE container = ? AND bucket = ? AND start = ? AND source = ?"
            ),
        }
    };
}

const TABLES: [Table; 4] = [
    table!("packed_second"),
    table!("packed_minute"),
    table!("packed_hour"),
    table!("packed_day"),
];

/// The table of a resolution.
pub(super) const fn of(resolution: Resolution) -> &'static Table {
    &TABLES[resolution as usize]
}

/// Packed spans in a partition: an hour, a day, 32 days, a year.
const fn bucket_spans(resolution: Resolution) -> u64 {
    match resolution {
        Resolution::Second => 60,
        Resolution::Minute => 24,
        Resolution::Hour => 32,
        Resolution::Day => 12,
    }
}

/// Seconds in a partition.
pub(super) const fn bucket_seconds(resolution: Resolution) -> u64 {
    resolution.packed_seconds() * bucket_spans(resolution)
}

/// The partition that holds the second `at`.
pub(super) const fn bucket(resolution: Resolution, at: u64) -> u64 {
    at / bucket_seconds(resolution)
}
