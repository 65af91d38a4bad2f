//! Values by slot of single processes, files and connections, for answers that show each one.

use bubble_common::segment::Segment;
use bubble_common::segment::cell::{Cell, Row};
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::network::{Connection, NetworkIo};

use super::Ledger;
use super::placed::{ABSENT, Placed};

impl<'a> Ledger<'a> {
    /// Calls `visit` with the process, the core, the slot and the CPU time in ns of each cell, over
    /// all slots.
    pub fn each_cpu(&self, mut visit: impl FnMut(u32, u32, usize, u64)) {
        for placed in &self.segments {
            for cell in &placed.segment.cpu {
                let Row(process, core) = cell.row;
                let process = placed.processes[process as usize];
                let slot = placed.slots[cell.slot as usize];
                if process != ABSENT && slot != ABSENT {
                    visit(process, core, slot as usize, cell.value.ns);
                }
            }
        }
    }

    /// Calls `visit` with the process, the file and the slot of each cell of file I/O, over all slots.
    pub fn each_file(&self, visit: impl FnMut(u32, &'a File, usize, &FileIo)) {
        each(&self.segments, |s| (&s.file_io, &s.files), visit);
    }

    /// Calls `visit` with the process, the connection and the slot of each cell of network I/O, over
    /// all slots.
    pub fn each_connection(&self, visit: impl FnMut(u32, &'a Connection, usize, &NetworkIo)) {
        each(&self.segments, |s| (&s.network_io, &s.connections), visit);
    }
}

fn each<'a, T: 'a, V: 'a>(
    segments: &[Placed<'a>],
    table: impl Fn(&'a Segment) -> (&'a Vec<Cell<V>>, &'a Vec<T>),
    mut visit: impl FnMut(u32, &'a T, usize, &V),
) {
    for placed in segments {
        let (cells, entries) = table(placed.segment);
        for cell in cells {
            let Row(process, entry) = cell.row;
            let process = placed.processes[process as usize];
            let slot = placed.slots[cell.slot as usize];
            if process != ABSENT && slot != ABSENT {
                visit(
                    process,
                    &entries[entry as usize],
                    slot as usize,
                    &cell.value,
                );
            }
        }
    }
}
