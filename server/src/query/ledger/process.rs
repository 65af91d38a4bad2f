//! The processes of an answer.

use std::collections::HashMap;

use bubble_common::segment::file::FileIo;
use bubble_common::segment::network::NetworkIo;
use bubble_common::segment::process::{Memory, Process, ProcessId};

/// A process and what it did.
#[derive(Debug)]
pub struct ProcessRow {
    /// All that is known of it.
    pub process: Process,
    /// CPU time within the window, ns.
    pub cpu_ns: u64,
    /// Highest memory within the window.
    pub memory: Memory,
    /// Files, within the window.
    pub files: FileIo,
    /// Network, within the window.
    pub network: NetworkIo,
    /// Whether it lived or did something within the window.
    pub present: bool,
    /// CPU time over all slots, ns.
    pub(super) rank_cpu: u64,
    /// Highest memory over all slots.
    pub(super) highest: Memory,
    /// Whether the row stands for exactly as many processes as it says, and not for more.
    pub is_count_exact: bool,
}

impl ProcessRow {
    fn new(process: Process) -> Self {
        Self {
            process,
            cpu_ns: 0,
            memory: Memory::default(),
            files: FileIo::default(),
            network: NetworkIo::default(),
            present: false,
            rank_cpu: 0,
            highest: Memory::default(),
            is_count_exact: true,
        }
    }

    /// Marks it as present if it lived in between, in ns.
    pub(super) fn mark_alive(&mut self, start: u64, end: u64) {
        let process = &self.process;
        self.present = !process.is_folded()
            && process.id.start < end
            && (process.end == 0 || process.end >= start);
    }
}

/// Finds the index of a process that other segments have, too.
#[derive(Default)]
pub(super) struct Index<'a>(HashMap<(ProcessId, &'a str), (u32, u64)>);

impl<'a> Index<'a> {
    /// Adds what this segment knows of `process` to its row. Returns the row's index. `active`: when it
    /// was active last in this segment; the latest state counts.
    pub(super) fn get_or_insert(
        &mut self,
        rows: &mut Vec<ProcessRow>,
        process: &'a Process,
        active: u64,
    ) -> u32 {
        let (index, latest) = self.0.entry(process.identity()).or_insert_with(|| {
            rows.push(ProcessRow::new(process.clone()));
            (rows.len() as u32 - 1, active)
        });
        let known = &mut rows[*index as usize].process;
        *latest = known.unite(*latest, process, active);
        *index
    }
}
