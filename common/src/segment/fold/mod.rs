//! Folding: a container that opens a million files costs no more than one that opens two hundred.
//!
//! A table beyond its cap keeps its busiest rows, and the rest becomes one row. So
//! every sum of counts over a table stays exact, and nothing is lost. Processes are folded by
//! name first, as five hundred runs of `cc1` are still informative in one row. If
//! there are too many names, the rest goes into `(other)`.
//!
//! Folding a folded segment changes nothing, as its tables are within their caps.

mod activity;
mod process;

use std::collections::{BTreeMap, HashSet};

use self::activity::{busiest, file_activity, network_activity};
use self::process::fold_processes;
use super::builder::canonical;
use super::cell::{Cell, Row, Value, add};
use super::event::{Event, EventKind};
use super::file::File;
use super::network::Connection;
use super::{Resolution, Segment};

/// Maximum numbers of rows of a segment. Each is at least 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Processes, including folded ones.
    pub processes: usize,
    /// Files, including `(other)`.
    pub files: usize,
    /// Connections, including `(other)`.
    pub connections: usize,
    /// Pairs of a process and a file. At least twice [`Self::processes`] is used.
    pub file_rows: usize,
    /// Pairs of a process and a connection. At least twice [`Self::processes`] is used.
    pub network_rows: usize,
    /// Events, including the one that counts the folded ones.
    pub events: usize,
}

impl Caps {
    /// For seconds, which people read process by process.
    pub const SECOND: Self = Self {
        processes: 1_000,
        files: 200,
        connections: 200,
        file_rows: 2_000,
        network_rows: 2_000,
        events: 1_000,
    };

    /// For minutes, hours and days, which are stored for long.
    pub const COARSE: Self = Self {
        processes: 200,
        files: 200,
        connections: 200,
        file_rows: 1_000,
        network_rows: 1_000,
        events: 200,
    };

    /// The default for a resolution.
    pub const fn for_resolution(resolution: Resolution) -> Self {
        match resolution {
            Resolution::Second => Self::SECOND,
            Resolution::Minute | Resolution::Hour | Resolution::Day => Self::COARSE,
        }
    }
}

impl Segment {
    /// Keeps the busiest rows within `caps` and folds the rest. Keeps all sums of counts: of
    /// every column over all rows of a slot, and of CPU time by core.
    ///
    /// The memory of a folded row is the highest sum of what its processes held at one time, with the
    /// pages that they share once. Pages that are not known as shared count for each of them, so
    /// it is at most what the cgroup had, if that is known, or what one of them had.
    pub fn fold(self, caps: &Caps) -> Self {
        let segment = fold_processes(self, caps.processes.max(2));
        let rows = |cap: usize| cap.max(2 * caps.processes.max(2));
        let segment = fold_files(segment, caps.files.max(2), rows(caps.file_rows));
        let segment = fold_connections(segment, caps.connections.max(2), rows(caps.network_rows));
        fold_events(segment, caps.events.max(2))
    }
}

fn fold_files(mut segment: Segment, cap: usize, row_cap: usize) -> Segment {
    let cells = &mut segment.file_io;
    if fold_entries(
        cells,
        &mut segment.files,
        File::other(),
        cap,
        row_cap,
        file_activity,
    ) {
        canonical(segment)
    } else {
        segment
    }
}

fn fold_connections(mut segment: Segment, cap: usize, row_cap: usize) -> Segment {
    let cells = &mut segment.network_io;
    let other = Connection::other();
    if fold_entries(
        cells,
        &mut segment.connections,
        other,
        cap,
        row_cap,
        network_activity,
    ) {
        canonical(segment)
    } else {
        segment
    }
}

/// Redirects cells to the entry `other`: those of the entries beyond `cap`, and those of the
/// rows beyond `row_cap`. Returns whether it changed anything. If so, the dictionary and the
/// cells are no longer canonical.
fn fold_entries<V: Value, T: PartialEq>(
    cells: &mut [Cell<V>],
    entries: &mut Vec<T>,
    other: T,
    cap: usize,
    row_cap: usize,
    activity: impl Fn(&V) -> u64,
) -> bool {
    let rows = cells.chunk_by(|a, b| a.row == b.row).count();
    if entries.len() <= cap && rows <= row_cap {
        return false;
    }
    let existing = entries.iter().position(|entry| *entry == other);
    let other = existing.unwrap_or_else(|| {
        entries.push(other);
        entries.len() - 1
    });
    let mut sums = vec![0; entries.len()];
    for cell in &*cells {
        add(&mut sums[cell.row.1 as usize], activity(&cell.value));
    }
    let retained = busiest(&sums, cap - 1, |index| index != other);
    let other = other as u32;
    for cell in &mut *cells {
        if !retained[cell.row.1 as usize] {
            cell.row.1 = other;
        }
    }

    let mut sums: BTreeMap<Row, u64> = BTreeMap::new();
    for cell in &*cells {
        add(sums.entry(cell.row).or_default(), activity(&cell.value));
    }
    if sums.len() > row_cap {
        // Each process keeps one row for its folded cells.
        let processes: HashSet<u32> = sums.keys().map(|row| row.0).collect();
        let (rows, sums): (Vec<Row>, Vec<u64>) = sums.into_iter().unzip();
        let count = row_cap.saturating_sub(processes.len());
        let retained = busiest(&sums, count, |index| rows[index].1 != other);
        for cell in cells {
            // `rows` holds the row of every cell.
            let index = rows.binary_search(&cell.row);
            if !index.is_ok_and(|index| retained[index]) {
                cell.row.1 = other;
            }
        }
    }
    true
}

/// Keeps the container's own events, then the earliest ones. The rest becomes one event
/// with their number.
fn fold_events(mut segment: Segment, cap: usize) -> Segment {
    if segment.events.len() <= cap {
        return segment;
    }
    let weight = |event: &Event| match event.kind {
        EventKind::CONTAINER_START | EventKind::CONTAINER_END => 0,
        EventKind::OOM_KILL => 1,
        EventKind::FOLDED => 3,
        _ => 2,
    };
    let mut events = std::mem::take(&mut segment.events);
    // The sort is stable: of the same weight the earlier comes first.
    events.sort_by_key(weight);
    let folded = events.split_off(cap - 1);
    let count = folded.iter().map(|event| match event.kind {
        EventKind::FOLDED => event.detail.parse().unwrap_or(1),
        _ => 1_u64,
    });
    let count = count.fold(0, u64::saturating_add);
    if let Some(at) = folded.iter().map(|event| event.at).min() {
        events.push(Event {
            at,
            kind: EventKind::FOLDED,
            process: None,
            detail: count.to_string(),
        });
    }
    events.sort();
    segment.events = events;
    segment
}
