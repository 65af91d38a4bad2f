//! Makes the segment of one second: handles become rows.

use std::collections::HashMap;

use bubble_common::segment::Segment;
use bubble_common::segment::builder::Builder;
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::fold::Caps;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::total::Metric;

use super::container::{Entry, ProcessEntry};
use super::second::{Second, unpair};
use crate::slab::Slab;
use crate::time::SECOND;

/// A segment in the making, and the things that handles name.
pub(super) struct SegmentMaker<'a> {
    pub(super) builder: Builder,
    pub(super) processes: &'a mut Slab<ProcessEntry>,
    pub(super) files: &'a Slab<Entry<File>>,
    pub(super) connections: &'a Slab<Entry<Connection>>,
    /// Rows of the processes that are in the segment, by handle.
    pub(super) rows: HashMap<u32, u32>,
}

impl SegmentMaker<'_> {
    /// The row of a process, which is added if it is not in the segment. `None`: the handle is stale.
    fn row(&mut self, process: u32) -> Option<u32> {
        if let Some(row) = self.rows.get(&process) {
            return Some(*row);
        }
        let entry = self.processes.get(process)?;
        let row = self.builder.process(entry.process.clone());
        self.rows.insert(process, row);
        Some(row)
    }

    /// Lists processes, whatever they did.
    pub(super) fn add_processes(&mut self, processes: Vec<u32>) {
        for process in processes {
            self.row(process);
        }
    }

    /// Adds what processes did.
    pub(super) fn add_cells(&mut self, second: &Second) {
        for (key, value) in &second.cpu {
            let (process, core) = unpair(*key);
            if let Some(process) = self.row(process) {
                self.builder.cpu(process, core, 0, *value);
            }
        }
        for (key, value) in &second.memory {
            if let Some(process) = self.row(unpair(*key).0) {
                self.builder.memory(process, 0, *value);
            }
        }
        for (process, ns) in &second.waits {
            let Some(row) = self.row(*process) else {
                continue;
            };
            if let Some(entry) = self.processes.get_mut(*process) {
                let waits = entry.rests.round(ns);
                if waits.sum() > 0 {
                    self.builder.waits(row, 0, waits);
                }
            }
        }
        self.add_files(second);
        self.add_connections(second);
    }

    /// Adds what processes did with files, and how long they waited for them.
    fn add_files(&mut self, second: &Second) {
        let mut rows: HashMap<u32, u32> = HashMap::new();
        let waits = second.file_waits.iter().map(|(key, ns)| {
            let rests = self.processes.get_mut(unpair(*key).0);
            let waited = rests.map_or(0, |entry| entry.rests.round_file(*ns));
            let io = FileIo {
                waited,
                ..FileIo::default()
            };
            (*key, io)
        });
        let waits: Vec<(u64, FileIo)> = waits.filter(|(_, io)| io.waited > 0).collect();
        let cells = second.file_io.iter().map(|(key, io)| (*key, *io));
        for (key, value) in cells.chain(waits) {
            let (process, file) = unpair(key);
            let (Some(process), Some(entry)) = (self.row(process), self.files.get(file)) else {
                continue;
            };
            let file = *rows
                .entry(file)
                .or_insert_with(|| self.builder.file(entry.key.clone()));
            self.builder.file_io(process, file, 0, value);
        }
    }

    /// Adds what processes did with connections, and how long they waited for them.
    fn add_connections(&mut self, second: &Second) {
        let mut rows: HashMap<u32, u32> = HashMap::new();
        let waits = second.connection_waits.iter().map(|(key, ns)| {
            let rests = self.processes.get_mut(unpair(*key).0);
            let waited = rests.map_or(0, |entry| entry.rests.round_connection(*ns));
            let io = NetworkIo {
                waited,
                ..NetworkIo::default()
            };
            (*key, io)
        });
        let waits: Vec<(u64, NetworkIo)> = waits.filter(|(_, io)| io.waited > 0).collect();
        let cells = second.network_io.iter().map(|(key, io)| (*key, *io));
        for (key, value) in cells.chain(waits) {
            let (process, connection) = unpair(key);
            let (Some(process), Some(entry)) =
                (self.row(process), self.connections.get(connection))
            else {
                continue;
            };
            let connection = *rows
                .entry(connection)
                .or_insert_with(|| self.builder.connection(entry.key.clone()));
            self.builder.network_io(process, connection, 0, value);
        }
    }

    /// Adds the container's own figures, and losses.
    pub(super) fn add_totals(
        &mut self,
        second: &Second,
        host_losses: impl Iterator<Item = (Reason, Loss)>,
    ) {
        for (metric, total) in &second.totals {
            self.builder.total(*metric, 0, total.value);
        }
        let started = second.started.len() as u64;
        if started > 0 {
            self.builder.total(Metric::PROCESSES_STARTED, 0, started);
        }
        for (reason, loss) in second.losses.iter().copied().chain(host_losses) {
            self.builder.loss(reason, 0, loss);
        }
    }

    /// Adds the events.
    pub(super) fn add_events(&mut self, second: &Second) {
        for event in &second.events {
            let process = event.process.and_then(|process| self.row(process));
            self.builder.event(Event {
                at: event.at,
                kind: event.kind,
                process,
                detail: event.detail.clone(),
            });
        }
        if second.folded > 0 {
            self.builder.event(Event {
                at: (second.second + 1).saturating_mul(SECOND) - 1,
                kind: EventKind::FOLDED,
                process: None,
                detail: second.folded.to_string(),
            });
        }
    }

    /// The segment, with at most as many rows as `caps` allow.
    pub(super) fn finish(self, caps: &Caps) -> Segment {
        self.builder.build().fold(caps)
    }
}
