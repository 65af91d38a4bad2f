//! Answers in the shapes of the Python system: points in time of each process.
//!
//! It had one row a process id, and so have these: what several programs of one
//! process did is one. How far back it kept each resolution bounds an answer.

use std::collections::BTreeMap;
use std::ops::Range;

use bubble_common::segment::cell::Cell;
use bubble_common::segment::{ContainerId, Resolution, Segment};
use serde::Serialize;

use super::error::QueryError;
use super::summary::ProcessInfo;
use super::table::{FileCell, NetworkCell, Rows, TableKind, Who};
use super::{Ask, Query, read};
use crate::rollup::retention::Retention;
use crate::store::container::Container;

/// CPU time of a process in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CpuPoint {
    /// Start of the slot, seconds since the Unix epoch.
    pub ts: f64,
    /// Process id on the host.
    pub proc_name: u32,
    /// CPU time, ns.
    pub duration: u64,
    /// Number of the core, where the answer is by core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
}

/// Memory of a process in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MemoryPoint {
    /// Start of the slot, seconds since the Unix epoch.
    pub ts: f64,
    /// Process id on the host.
    pub proc_name: u32,
    /// Virtual size, KiB: the highest in the slot.
    pub vm_size: u64,
}

/// Bytes that a process moved in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct IoPoint {
    /// Start of the slot, seconds since the Unix epoch.
    pub ts: f64,
    /// Process id on the host.
    pub proc_name: u32,
    /// Bytes in and out, of files and connections.
    pub bytes: u64,
}

/// Bytes that went through a descriptor of a process, over the container's life.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileRow {
    /// Its name, as sysdig has it.
    pub file_name: String,
    /// Process id on the host.
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
    /// Process id on the host.
    pub id: u32,
    /// The program.
    pub exe: String,
    /// Its arguments, without its name.
    pub args: String,
    /// The kernel's name for it.
    pub name: String,
    /// Process id of the parent on the host.
    pub parent: u32,
    /// 1 for the first process of the container, 0 for others.
    pub is_root: u8,
}

/// By process id.
pub type ByProcess<T> = BTreeMap<u32, Vec<T>>;

impl Query {
    /// CPU time by process and slot, of the `top` processes that used most.
    ///
    /// # Errors
    /// When there is no such container, or the store fails.
    pub async fn legacy_cpu(
        &self,
        id: &ContainerId,
        resolution: Resolution,
        top: usize,
    ) -> Result<ByProcess<CpuPoint>, QueryError> {
        let sums = self
            .points(id, resolution, |segment, points| {
                points.take(
                    segment,
                    &segment.cpu,
                    |_| 0,
                    |cpu| cpu.ns,
                    u64::saturating_add,
                );
            })
            .await?;
        let point = |proc_name, (_, ts): (u32, u64), duration| CpuPoint {
            ts: ts as f64,
            proc_name,
            duration,
            cpu: None,
        };
        Ok(sums.top(top, point))
    }

    /// CPU time of one process by slot and core.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_cores(
        &self,
        id: &ContainerId,
        process: u32,
        resolution: Resolution,
    ) -> Result<ByProcess<CpuPoint>, QueryError> {
        let mut sums = self
            .points(id, resolution, |segment, points| {
                points.take(
                    segment,
                    &segment.cpu,
                    |core| core,
                    |cpu| cpu.ns,
                    u64::saturating_add,
                );
            })
            .await?;
        sums.0.retain(|pid, _| *pid == process);
        let point = |proc_name, (core, ts): (u32, u64), duration| CpuPoint {
            ts: ts as f64,
            proc_name,
            duration,
            cpu: Some(core),
        };
        Ok(sums.top(1, point))
    }

    /// Memory by process and slot, of the `top` processes with most.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_memory(
        &self,
        id: &ContainerId,
        resolution: Resolution,
        top: usize,
    ) -> Result<ByProcess<MemoryPoint>, QueryError> {
        let sums = self
            .points(id, resolution, |segment, points| {
                points.take(
                    segment,
                    &segment.memory,
                    |_| 0,
                    |memory| memory.vm,
                    u64::max,
                );
            })
            .await?;
        let point = |proc_name, (_, ts): (u32, u64), vm| MemoryPoint {
            ts: ts as f64,
            proc_name,
            vm_size: vm / 1_024,
        };
        Ok(sums.top(top, point))
    }

    /// Bytes by process and slot, of the `top` processes that moved most.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_io(
        &self,
        id: &ContainerId,
        resolution: Resolution,
        top: usize,
    ) -> Result<ByProcess<IoPoint>, QueryError> {
        let sums = self
            .points(id, resolution, |segment, points| {
                let add = u64::saturating_add;
                let bytes = |bytes_in: u64, bytes_out| bytes_in.saturating_add(bytes_out);
                points.take(
                    segment,
                    &segment.file_io,
                    |_| 0,
                    |io| bytes(io.bytes_in, io.bytes_out),
                    add,
                );
                points.take(
                    segment,
                    &segment.network_io,
                    |_| 0,
                    |io| bytes(io.bytes_in, io.bytes_out),
                    add,
                );
            })
            .await?;
        let point = |proc_name, (_, ts): (u32, u64), bytes| IoPoint {
            ts: ts as f64,
            proc_name,
            bytes,
        };
        Ok(sums.top(top, point))
    }

    /// Bytes by process and descriptor over the whole life.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_files(&self, id: &ContainerId) -> Result<ByProcess<FileRow>, QueryError> {
        let mut rows = ByProcess::new();
        let mut add = |who: &Who, file_name: String, io_in: u64, io_out: u64| {
            rows.entry(who.pid).or_insert_with(Vec::new).push(FileRow {
                file_name,
                proc_id: who.pid,
                io_in,
                io_out,
                io_total: io_in.saturating_add(io_out),
            });
        };
        for kind in [TableKind::File, TableKind::Network] {
            match self.table(id, kind, &whole_life()).await?.rows {
                Rows::File(cells) => {
                    for cell in cells {
                        let FileCell { who, file } = cell;
                        add(&who, file.path, file.bytes_in, file.bytes_out);
                    }
                }
                Rows::Network(cells) => {
                    for cell in cells {
                        let NetworkCell { who, connection } = cell;
                        let name = match (connection.role, &*connection.peer) {
                            (_, "") => connection.local,
                            // sysdig names the client first.
                            ("server", peer) => format!("{peer}->{}", connection.local),
                            (_, peer) => format!("{}->{peer}", connection.local),
                        };
                        add(&who, name, connection.bytes_in, connection.bytes_out);
                    }
                }
                Rows::Process(_) | Rows::Cpu(_) => {}
            }
        }
        Ok(rows)
    }

    /// The processes of the whole life, by their ids; of several programs of one the last.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_processes(
        &self,
        id: &ContainerId,
    ) -> Result<Vec<ProcessEntry>, QueryError> {
        let table = self.table(id, TableKind::Process, &whole_life()).await?;
        let mut entries = BTreeMap::new();
        if let Rows::Process(mut rows) = table.rows {
            rows.retain(|row| row.pid != 0);
            rows.sort_by(|a, b| {
                (a.start, a.exec)
                    .partial_cmp(&(b.start, b.exec))
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
            entries.extend(
                rows.into_iter()
                    .map(|row| (row.pid, ProcessEntry::new(row))),
            );
        }
        Ok(entries.into_values().collect())
    }

    /// Adds up a resolution's segments, as far back as the Python system kept them.
    async fn points(
        &self,
        id: &ContainerId,
        resolution: Resolution,
        take: impl Fn(&Segment, &mut Points) + Send + 'static,
    ) -> Result<Points, QueryError> {
        let container = self.container(id).await?;
        let span = span(&container, resolution);
        let gathered = read::gather(&*self.store, id, resolution, span.clone()).await?;
        tokio::task::spawn_blocking(move || {
            let mut points = Points::default();
            for segment in gathered.resolve()? {
                take(&segment, &mut points);
            }
            points.cut(&span);
            Ok(points)
        })
        .await
        .map_err(|_| QueryError::Cut)?
    }
}

/// As far back from when the container was last seen as the Python system kept a resolution.
fn span(container: &Container, resolution: Resolution) -> Range<u64> {
    let end = container.last_seen.max(1);
    let start = match Retention::default().of(resolution) {
        Some(kept) => end.saturating_sub(kept),
        None => container.first_seen,
    };
    let unit = resolution.seconds();
    let start = start.min(end - 1);
    start - start % unit..end
}

fn whole_life() -> Ask {
    Ask {
        from: Some(0.0),
        top: usize::MAX,
        ..Ask::default()
    }
}

impl ProcessEntry {
    fn new(row: ProcessInfo) -> Self {
        Self {
            id: row.pid,
            exe: row.exe,
            args: row.args.get(1..).unwrap_or_default().join(" "),
            name: row.name,
            parent: row.parent,
            is_root: u8::from(row.container_pid == 1),
        }
    }
}

/// Values by process id, then by (core or 0, start of the slot).
#[derive(Default)]
struct Points(BTreeMap<u32, BTreeMap<(u32, u64), u64>>);

impl Points {
    /// Takes in cells whose first index is a process; folded ones have no id, and are left out.
    fn take<V>(
        &mut self,
        segment: &Segment,
        cells: &[Cell<V>],
        group: impl Fn(u32) -> u32,
        value: impl Fn(&V) -> u64,
        unite: impl Fn(u64, u64) -> u64,
    ) {
        let length = segment.key.resolution.seconds();
        for cell in cells {
            let process = &segment.processes[cell.row.0 as usize];
            if process.is_folded() {
                continue;
            }
            let place = (
                group(cell.row.1),
                segment.key.start + u64::from(cell.slot) * length,
            );
            let points = self.0.entry(process.id.pid).or_default();
            let known = points.entry(place).or_default();
            *known = unite(*known, value(&cell.value));
        }
    }

    /// Leaves out what is not within `span`: packed rows are read whole.
    fn cut(&mut self, span: &Range<u64>) {
        for points in self.0.values_mut() {
            points.retain(|(_, at), _| span.contains(at));
        }
        self.0.retain(|_, points| !points.is_empty());
    }

    /// The `top` processes whose values add up to most, as the wire has them.
    fn top<T>(self, top: usize, point: impl Fn(u32, (u32, u64), u64) -> T) -> ByProcess<T> {
        let mut ranked: Vec<_> = self.0.into_iter().collect();
        ranked.sort_by_cached_key(|(_, points)| {
            let sum = points.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
            std::cmp::Reverse(sum)
        });
        ranked.truncate(top);
        let line = |(pid, points): (u32, BTreeMap<(u32, u64), u64>)| {
            let points = points.into_iter().map(|(at, n)| point(pid, at, n));
            (pid, points.collect())
        };
        ranked.into_iter().map(line).collect()
    }
}
