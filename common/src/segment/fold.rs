//! Folding: a container that opens a million files costs no more than one that opens two hundred.
//!
//! Tables beyond their cap keep their busiest rows; the rest becomes one row,
//! so every sum over a table stays exact and nothing is a loss. Processes are
//! folded by name first (five hundred runs of `cc1` are one line that still says
//! something), and what has too many names goes into `(other)`.
//!
//! Folding a folded segment changes nothing: a table within its cap is left as
//! it is, and a folded one is within.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::builder::canonical;
use super::cell::{Cell, Row, Value, add};
use super::event::{Event, EventKind};
use super::file::{File, FileIo};
use super::network::{Connection, NetworkIo};
use super::process::{Memory, OTHER, Process};
use super::{Resolution, Segment};

/// How many rows a segment may have. Each is at least 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Processes, folded ones among them.
    pub processes: usize,
    /// Files, `(other)` among them.
    pub files: usize,
    /// Connections, `(other)` among them.
    pub connections: usize,
    /// Pairs of a process and a file; raised to twice [`Self::processes`] if it is less.
    pub file_rows: usize,
    /// Pairs of a process and a connection; likewise.
    pub network_rows: usize,
    /// Events, the one that counts the folded among them.
    pub events: usize,
}

impl Caps {
    /// For what is looked at process by process.
    pub const SECOND: Self = Self {
        processes: 1_000,
        files: 200,
        connections: 200,
        file_rows: 2_000,
        network_rows: 2_000,
        events: 1_000,
    };

    /// For what is kept for days and for ever.
    pub const COARSE: Self = Self {
        processes: 200,
        files: 200,
        connections: 200,
        file_rows: 1_000,
        network_rows: 1_000,
        events: 200,
    };

    /// The default of a resolution.
    pub const fn of(resolution: Resolution) -> Self {
        match resolution {
            Resolution::Second => Self::SECOND,
            Resolution::Minute | Resolution::Hour | Resolution::Day => Self::COARSE,
        }
    }
}

impl Segment {
    /// The same within `caps`: the busiest rows, and the rest folded. All sums
    /// are kept: of every column over all rows of a slot, of CPU by core too.
    pub fn fold(self, caps: &Caps) -> Self {
        let segment = fold_processes(self, caps.processes.max(2));
        let rows = |cap: usize| cap.max(2 * caps.processes.max(2));
        let segment = fold_files(segment, caps.files.max(2), rows(caps.file_rows));
        let segment = fold_connections(segment, caps.connections.max(2), rows(caps.network_rows));
        fold_events(segment, caps.events.max(2))
    }
}

/// How busy something was. One unit is about a call, a microsecond, or a page.
fn file_activity(value: &FileIo) -> u64 {
    let bytes = value.bytes_in.saturating_add(value.bytes_out) / 4_096;
    [value.ops_in, value.ops_out, value.opens]
        .into_iter()
        .fold(bytes, u64::saturating_add)
}

fn network_activity(value: &NetworkIo) -> u64 {
    let bytes = value.bytes_in.saturating_add(value.bytes_out) / 4_096;
    [value.ops_in, value.ops_out, value.connects, value.failures]
        .into_iter()
        .fold(bytes, u64::saturating_add)
}

/// The indices of the `keep` busiest of those that `eligible` accepts, as a mask.
/// Of equals the earlier counts as busier.
fn busiest(activity: &[u64], keep: usize, eligible: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut ranked: Vec<usize> = (0..activity.len()).filter(|&i| eligible(i)).collect();
    ranked.sort_by_key(|&index| (Reverse(activity[index]), index));
    let mut kept = vec![false; activity.len()];
    for index in ranked.into_iter().take(keep) {
        kept[index] = true;
    }
    kept
}

fn process_activity(segment: &Segment) -> Vec<u64> {
    let mut sums = vec![0; segment.processes.len()];
    for cell in &segment.cpu {
        add(&mut sums[cell.row.0 as usize], cell.value.ns / 1_000);
    }
    for cell in &segment.file_io {
        add(&mut sums[cell.row.0 as usize], file_activity(&cell.value));
    }
    for cell in &segment.network_io {
        add(
            &mut sums[cell.row.0 as usize],
            network_activity(&cell.value),
        );
    }
    for cell in &segment.memory {
        let held = cell.value.rss.saturating_add(cell.value.swap);
        add(&mut sums[cell.row.0 as usize], held >> 20);
    }
    // Whoever has a part in an event, and the container's first process, is of interest however idle.
    for process in segment.events.iter().filter_map(|event| event.process) {
        sums[process as usize] = u64::MAX;
    }
    for (sum, process) in sums.iter_mut().zip(&segment.processes) {
        if process.container_pid == 1 {
            *sum = u64::MAX;
        }
    }
    sums
}

fn fold_processes(mut segment: Segment, cap: usize) -> Segment {
    if segment.processes.len() <= cap {
        return segment;
    }
    let names = (cap / 5).max(1);
    let activity = process_activity(&segment);
    let kept = busiest(&activity, cap - names, |index| {
        !segment.processes[index].is_folded()
    });

    // By name: how busy, and how many. Rows of one process (it called exec) count once.
    let mut groups: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    let mut seen = HashSet::new();
    for (index, process) in segment.processes.iter().enumerate() {
        if !kept[index] {
            let (busy, count) = groups.entry(&process.name).or_default();
            add(busy, activity[index]);
            if process.is_folded() || seen.insert((&process.name, process.id.pid, process.id.start))
            {
                *count = count.saturating_add(process.count);
            }
        }
    }
    let mut ranked: Vec<(&str, (u64, u32))> = groups.into_iter().collect();
    ranked.sort_by_key(|&(name, (busy, _))| (name == OTHER, Reverse(busy), name));
    let named = if ranked.len() <= names {
        names
    } else {
        names - 1
    };

    let mut processes: Vec<Process> = ranked
        .iter()
        .take(named)
        .map(|&(name, (_, count))| Process::folded(name, count))
        .collect();
    let by_name: HashMap<&str, u32> = (0..)
        .zip(&ranked)
        .take(named)
        .map(|(i, (name, _))| (*name, i))
        .collect();
    if ranked.len() > named {
        let others = ranked[named..].iter().map(|(_, (_, count))| *count);
        processes.push(Process::folded(OTHER, others.fold(0, u32::saturating_add)));
    }
    let other = processes.len() as u32 - 1;
    let mut new = Vec::with_capacity(kept.len());
    for (index, process) in segment.processes.iter().enumerate() {
        if kept[index] {
            new.push(processes.len() as u32);
            processes.push(process.clone());
        } else {
            new.push(*by_name.get(process.name.as_str()).unwrap_or(&other));
        }
    }
    segment.processes = processes;
    segment.map_processes(&new);
    // What different processes hold at one time adds up, unlike two readings of one.
    sum_memory(&mut segment.memory);
    canonical(segment)
}

/// Makes cells of the same place one by adding them.
fn sum_memory(cells: &mut Vec<Cell<Memory>>) {
    cells.sort_by_key(Cell::position);
    cells.dedup_by(|next, kept| {
        let same = next.position() == kept.position();
        if same {
            for column in 0..Memory::COLUMNS {
                let mut sum = kept.value.get(column);
                add(&mut sum, next.value.get(column));
                kept.value.set(column, sum);
            }
        }
        same
    });
}

fn fold_files(mut segment: Segment, cap: usize, row_cap: usize) -> Segment {
    let cells = &mut segment.file_io;
    if fold_second(
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
    if fold_second(
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

/// Points cells whose second index is beyond `cap`, or whose row is beyond
/// `row_cap`, to the entry `other`. Whether there were any; if so the
/// dictionary and the cells are no longer in order.
fn fold_second<V: Value, T: PartialEq>(
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
    let known = entries.iter().position(|entry| *entry == other);
    let other = known.unwrap_or_else(|| {
        entries.push(other);
        entries.len() - 1
    });
    let mut sums = vec![0; entries.len()];
    for cell in &*cells {
        add(&mut sums[cell.row.1 as usize], activity(&cell.value));
    }
    let kept = busiest(&sums, cap - 1, |index| index != other);
    let other = other as u32;
    for cell in &mut *cells {
        if !kept[cell.row.1 as usize] {
            cell.row.1 = other;
        }
    }

    let mut sums: BTreeMap<Row, u64> = BTreeMap::new();
    for cell in &*cells {
        add(sums.entry(cell.row).or_default(), activity(&cell.value));
    }
    if sums.len() > row_cap {
        // One row each process stays for what is folded.
        let processes: HashSet<u32> = sums.keys().map(|row| row.0).collect();
        let (rows, sums): (Vec<Row>, Vec<u64>) = sums.into_iter().unzip();
        let keep = row_cap.saturating_sub(processes.len());
        let kept = busiest(&sums, keep, |index| rows[index].1 != other);
        for cell in cells {
            // It is there: `rows` are those of the cells.
            let kept = rows.binary_search(&cell.row).is_ok_and(|index| kept[index]);
            if !kept {
                cell.row.1 = other;
            }
        }
    }
    true
}

/// Keeps what happened to the container, then what happened first; the rest
/// becomes one event that says how many.
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
    // Stable: of the same weight the earlier comes first.
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
