//! Sums of processes with those of their descendants.

use std::collections::{HashMap, HashSet};

use super::super::tally::{Container, Program};
use crate::segment::cell::{Row, Value as _};
use crate::segment::lives::lives;
use crate::segment::process::Process;

/// Maximum number of ancestors that are followed.
const MAX_DEPTH: usize = 256;

/// For each name of a program the sums of the processes that ran it, with those of all their
/// descendants. Each process counts once for a name, also where one of them descends from another.
pub(super) fn with_children(sums: &Container) -> HashMap<&str, Program> {
    let mut rows: Vec<(&Process, &Program)> = sums
        .processes
        .sorted()
        .into_iter()
        .filter_map(|(_, program)| Some((program.process.as_ref()?, program)))
        .filter(|(process, _)| !process.is_folded())
        .collect();
    rows.sort_by_key(|(process, _)| process.id);
    let parents = parents(&rows);
    let mut subtrees: HashMap<&str, Program> = HashMap::new();
    for (index, (_, program)) in rows.iter().enumerate() {
        let mut names: HashSet<&str> = HashSet::new();
        let mut next = Some(index);
        for _ in 0..MAX_DEPTH {
            let Some(ancestor) = next else { break };
            names.insert(rows[ancestor].0.name.as_str());
            next = parents[ancestor];
        }
        for name in names {
            add(subtrees.entry(name).or_default(), program);
        }
    }
    subtrees
}

/// The index of each row's parent: the program that the parent process ran when it forked. All programs
/// of one process have the same.
fn parents(rows: &[(&Process, &Program)]) -> Vec<Option<usize>> {
    let processes: Vec<&Process> = rows.iter().map(|(process, _)| *process).collect();
    let lives = lives(&processes);
    let mut by_pid: HashMap<u32, Vec<usize>> = HashMap::new();
    for (index, process) in processes.iter().enumerate() {
        by_pid.entry(process.id.pid).or_default().push(index);
    }
    let parent_of = |process: &&Process| {
        let forked = process.id.start;
        let rows = by_pid.get(&process.parent)?.iter();
        // The latest program of that number that had begun by then.
        let begun = rows.filter(|row| lives[**row].start <= forked);
        let parent = *begun.max_by_key(|row| lives[**row].start)?;
        (processes[parent].id.pid != process.id.pid).then_some(parent)
    };
    processes.iter().map(parent_of).collect()
}

fn add(sum: &mut Program, program: &Program) {
    sum.cpu = sum.cpu.saturating_add(program.cpu);
    sum.memory = sum.memory.max(program.memory);
    sum.file_io.absorb(Row(0, 0), &program.file_io);
    sum.network_io.absorb(Row(0, 0), &program.network_io);
    sum.waits.absorb(Row(0, 0), &program.waits);
    sum.idle = sum.idle.saturating_add(program.idle);
}
