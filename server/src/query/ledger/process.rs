//! The processes of an answer.

use std::collections::HashMap;

use bubble_common::segment::file::FileIo;
use bubble_common::segment::network::NetworkIo;
use bubble_common::segment::process::{Memory, Process, ProcessId};
use bubble_common::segment::wait::Waits;

/// A process and what it did.
#[derive(Debug)]
pub struct ProcessRow {
    /// All that is known of it.
    pub process: Process,
    /// CPU time within the window, ns.
    pub cpu_ns: u64,
    /// Highest memory within the window.
    pub memory: Memory,
    /// Waits within the window.
    pub waits: Waits,
    /// Whether a source that counts waits has seen it.
    pub waits_known: bool,
    /// Files, within the window.
    pub files: FileIo,
    /// Network, within the window.
    pub network: NetworkIo,
    /// Whether it lived or did something within the window.
    pub present: bool,
    /// When it was active last, as far as was read: s since the Unix epoch; 0 if never.
    last_active: u64,
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
            waits: Waits::default(),
            waits_known: false,
            files: FileIo::default(),
            network: NetworkIo::default(),
            present: false,
            last_active: 0,
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

    /// Hides it if only times before `start` (in s) tell of it: it may have ended then, as far as is known.
    pub(super) fn hide_if_only_before(&mut self, start: u64) {
        let process = &self.process;
        let began_before = process.id.start < start.saturating_mul(1_000_000_000);
        if began_before && process.end == 0 && self.last_active <= start {
            self.present = false;
        }
    }

    /// Shows it as it was at `end`, in ns: if it ended later, it still ran.
    pub(super) fn forget_end_after(&mut self, end: u64) {
        if self.process.end > end {
            self.process.end = 0;
            self.process.exit = None;
        }
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
        let row = &mut rows[*index as usize];
        row.last_active = row.last_active.max(active);
        *latest = row.process.unite(*latest, process, active);
        *index
    }
}
