//! Folds processes: by name, then into `(other)`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::activity::{busiest, file_activity, network_activity};
use crate::segment::Segment;
use crate::segment::builder::canonical;
use crate::segment::cell::{Cell, Row, add};
use crate::segment::census;
use crate::segment::lives::lives;
use crate::segment::memory::memory_bounds;
use crate::segment::process::{Memory, OTHER, Process};

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
    // A process with an event, and the container's first one, are of interest even if idle.
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

pub(super) fn fold_processes(mut segment: Segment, cap: usize) -> Segment {
    if segment.processes.len() <= cap {
        return segment;
    }
    let max_groups = (cap / 5).max(1);
    let activity = process_activity(&segment);
    let retained = busiest(&activity, cap - max_groups, |index| {
        !segment.processes[index].is_folded()
    });
    census::note_fold(&mut segment, &retained, cap);
    let groups = groups_by_name(&segment.processes, &retained, &activity);
    let (named, rest) = if groups.len() <= max_groups {
        (&groups[..], &groups[..0])
    } else {
        groups.split_at(max_groups - 1)
    };

    let mut processes: Vec<Process> = (named.iter())
        .map(|group| Process::folded(group.name, group.count()))
        .collect();
    let by_name: HashMap<&str, u32> = (0..)
        .zip(named)
        .map(|(index, group)| (group.name, index))
        .collect();
    if !rest.is_empty() {
        let count = rest.iter().map(Group::count);
        processes.push(Process::folded(OTHER, count.fold(0, u32::saturating_add)));
    }
    let folded = processes.len() as u32;
    let other = folded - 1;
    let mut new = Vec::with_capacity(retained.len());
    for (index, process) in segment.processes.iter().enumerate() {
        if retained[index] {
            new.push(processes.len() as u32);
            processes.push(process.clone());
        } else {
            new.push(*by_name.get(process.name.as_str()).unwrap_or(&other));
        }
    }
    let memory = fold_memory(&mut segment, &new, folded);
    segment.processes = processes;
    segment.map_processes(&new);
    segment.memory.extend(memory);
    let mut segment = canonical(segment);
    census::recount(&mut segment, true);
    segment
}

/// The processes of one name that are folded.
#[derive(Debug, Default)]
struct Group<'a> {
    name: &'a str,
    activity: u64,
    /// Processes with a row.
    single: u32,
    /// Processes of the row that is folded already.
    folded: u32,
}

impl Group<'_> {
    /// How many processes it has at least: one with a row may be in the folded row, too.
    fn count(&self) -> u32 {
        self.single.max(self.folded)
    }
}

/// Groups the processes that are not `retained` by name. The busiest group comes first,
/// `(other)` last.
fn groups_by_name<'a>(
    processes: &'a [Process],
    retained: &[bool],
    activity: &[u64],
) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    // The rows of one process, one for each exec, count once.
    let mut seen = HashSet::new();
    for (index, process) in processes.iter().enumerate() {
        if retained[index] {
            continue;
        }
        let group = groups.entry(&process.name).or_default();
        group.name = &process.name;
        add(&mut group.activity, activity[index]);
        if process.is_folded() {
            group.folded = group.folded.saturating_add(process.count);
        } else if seen.insert((&process.name, process.id.pid, process.id.start)) {
            group.single += 1;
        }
    }
    let mut groups: Vec<Group<'_>> = groups.into_values().collect();
    groups.sort_by_key(|group| (group.name == OTHER, Reverse(group.activity), group.name));
    groups
}

/// The memory of a process, and its life.
type Lived = (Range<u64>, Memory);

/// Takes out the memory of the processes with a `new` index below `folded`. Returns one cell for
/// each of these rows and slots.
fn fold_memory(segment: &mut Segment, new: &[u32], folded: u32) -> Vec<Cell<Memory>> {
    let lives = lives(&segment.processes);
    let mut groups: BTreeMap<(u32, u32), Vec<Lived>> = BTreeMap::new();
    segment.memory.retain(|cell| {
        let old = cell.row.0 as usize;
        let is_folded = new[old] < folded;
        if is_folded {
            let values = groups.entry((new[old], cell.slot)).or_default();
            values.push((lives[old].clone(), cell.value));
        }
        !is_folded
    });
    let bounds = memory_bounds(segment);
    (groups.into_iter())
        .map(|((row, slot), values)| Cell {
            row: Row(row, 0),
            slot,
            value: Memory::at_one_time(&values, bounds.get(&slot).copied()),
        })
        .collect()
}
