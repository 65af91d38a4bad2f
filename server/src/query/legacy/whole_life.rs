//! Files and processes over the whole life of a container.

use std::collections::BTreeMap;

use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Role};
use bubble_common::segment::process::{OTHER, Process};
use bubble_common::segment::{ContainerId, Segment};
use serde::Serialize;

use super::points::ByProcess;
use crate::query::Query;
use crate::query::error::QueryError;
use crate::span::id::is_of_job;

/// Names of folded processes that the answer lists at most.
const MAX_NAMES: usize = 20;

/// Bytes that went through a descriptor of a process, over the container's life.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileRow {
    /// Its name, as sysdig writes it; `(other)` stands for those that were folded.
    pub file_name: String,
    /// Process id on the host; 0 for those that were folded.
    pub proc_id: u32,
    /// Bytes in.
    pub io_in: u64,
    /// Bytes out.
    pub io_out: u64,
    /// Both.
    pub io_total: u64,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProcessEntry {
    /// Process id on the host; 0 for those that were folded.
    pub id: u32,
    /// The program.
    pub exe: String,
    /// Its arguments, without its name.
    pub args: String,
    /// Name in the kernel (comm).
    pub name: String,
    /// Process id of the parent on the host.
    pub parent: u32,
    /// 1 for the first process of the container or the script of a Slurm job, 0 for others.
    pub is_root: u8,
}

/// Bytes in and out by process id and name of the descriptor.
#[derive(Default)]
struct Sums(BTreeMap<(u32, String), (u64, u64)>);

/// Processes by id, each with the last program that it ran, and the folded ones by name.
#[derive(Default)]
struct Processes {
    known: BTreeMap<u32, Process>,
    folded: BTreeMap<String, u32>,
}

impl Query {
    /// Bytes by process and descriptor over the whole life, each pair once.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_files(&self, id: &ContainerId) -> Result<ByProcess<FileRow>, QueryError> {
        let sums: Sums = self.whole_life(id, Sums::add).await?;
        let mut rows = ByProcess::new();
        for ((proc_id, file_name), (io_in, io_out)) in sums.0 {
            rows.entry(proc_id).or_insert_with(Vec::new).push(FileRow {
                file_name,
                proc_id,
                io_in,
                io_out,
                io_total: io_in.saturating_add(io_out),
            });
        }
        Ok(rows)
    }

    /// The processes of the whole life by id, each with the last program that it ran. One more entry,
    /// with the id 0, says which were folded.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_processes(
        &self,
        id: &ContainerId,
    ) -> Result<Vec<ProcessEntry>, QueryError> {
        let processes: Processes = self.whole_life(id, Processes::add).await?;
        Ok(processes.entries(is_of_job(id)))
    }
}

impl Sums {
    fn add(&mut self, segment: &Segment) {
        let pid = |process: u32| segment.processes[process as usize].id.pid;
        for cell in &segment.file_io {
            let File { path, .. } = &segment.files[cell.row.1 as usize];
            let FileIo {
                bytes_in,
                bytes_out,
                ..
            } = cell.value;
            self.add_bytes((pid(cell.row.0), path.clone()), bytes_in, bytes_out);
        }
        for cell in &segment.network_io {
            let name = name_of(&segment.connections[cell.row.1 as usize]);
            let NetworkIo {
                bytes_in,
                bytes_out,
                ..
            } = cell.value;
            self.add_bytes((pid(cell.row.0), name), bytes_in, bytes_out);
        }
    }

    fn add_bytes(&mut self, pair: (u32, String), bytes_in: u64, bytes_out: u64) {
        let (sum_in, sum_out) = self.0.entry(pair).or_default();
        *sum_in = sum_in.saturating_add(bytes_in);
        *sum_out = sum_out.saturating_add(bytes_out);
    }
}

/// The name of a socket as sysdig writes it: the client first, no brackets around IPv6.
fn name_of(connection: &Connection) -> String {
    let name = |address: &Address| match address {
        Address::Ip(ip, port) => format!("{ip}:{port}"),
        other => other.to_string(),
    };
    let (local, peer) = (name(&connection.local), name(&connection.peer));
    match (connection.role, &*local, &*peer) {
        (_, local, "") => local.to_owned(),
        // A Unix socket has one path, and so has the row of those that were folded.
        (_, "", peer) => peer.to_owned(),
        (Role::Server, local, peer) => format!("{peer}->{local}"),
        (_, local, peer) => format!("{local}->{peer}"),
    }
}

impl Processes {
    fn add(&mut self, segment: &Segment) {
        let mut used = vec![false; segment.processes.len()];
        let cells = segment.cpu.iter().map(|cell| cell.row.0);
        let cells = cells.chain(segment.memory.iter().map(|cell| cell.row.0));
        let cells = cells.chain(segment.file_io.iter().map(|cell| cell.row.0));
        for process in cells.chain(segment.network_io.iter().map(|cell| cell.row.0)) {
            used[process as usize] = true;
        }
        for (process, used) in segment.processes.iter().zip(used) {
            if !process.is_folded() {
                let known = self.known.entry(process.id.pid).or_insert(process.clone());
                match known.id.cmp(&process.id) {
                    std::cmp::Ordering::Less => *known = process.clone(),
                    std::cmp::Ordering::Equal => known.absorb(process),
                    std::cmp::Ordering::Greater => {}
                }
            } else if used {
                let count = self.folded.entry(process.name.clone()).or_default();
                *count = process.count.max(*count);
            }
        }
    }

    fn entries(self, is_job: bool) -> Vec<ProcessEntry> {
        let known = self.known.into_values();
        let mut entries: Vec<ProcessEntry> = known
            .map(|process| ProcessEntry::new(&process, is_job))
            .collect();
        if !self.folded.is_empty() {
            let root = entries.iter().find(|entry| entry.is_root == 1);
            let parent = root.map_or(1, |root| root.id);
            entries.push(ProcessEntry::folded(&self.folded, parent));
        }
        entries
    }
}

impl ProcessEntry {
    fn new(process: &Process, is_job: bool) -> Self {
        let args = process.args.split_once('\0').map_or("", |(_, args)| args);
        let args = args.replace('\0', " ");
        // The first process that Slurm starts in a job is named after its script.
        let is_script = is_job && args.contains("slurm_script");
        Self {
            id: process.id.pid,
            exe: process.exe.clone(),
            name: process.name.clone(),
            parent: process.parent,
            is_root: u8::from(process.container_pid == 1 || is_script),
            args,
        }
    }

    /// Stands for processes that are stored by name only, with the least number of each.
    fn folded(names: &BTreeMap<String, u32>, parent: u32) -> Self {
        let mut listed: Vec<String> = names
            .iter()
            .take(MAX_NAMES)
            .map(|(name, count)| format!("{name} x {count}"))
            .collect();
        if names.len() > MAX_NAMES {
            listed.push("...".to_owned());
        }
        Self {
            id: 0,
            exe: OTHER.to_owned(),
            args: format!("folded, at least: {}", listed.join(", ")),
            name: OTHER.to_owned(),
            parent,
            is_root: 0,
        }
    }
}
