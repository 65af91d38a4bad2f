//! The source for hosts without eBPF: /proc, looked through once a second.
//!
//! It sees what is there when it looks. What a process did between the last look
//! and its end is missing from its row (though not from the container's own
//! figures), and files and peers cannot be told apart at all. It says all this,
//! in `missing`, rather than show a zero for what it cannot know.

pub mod stat;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::process::{Memory, Process, ProcessId};

use super::ebpf::memory::page_size;
use super::{Host, Source, SourceError};
use crate::clock::SECOND;
use crate::sink::{ContainerHandle, ProcessHandle, Sink};
use stat::{Io, Stat};

/// Row of all that a process read and wrote.
const ALL: &str = "(all reads and writes)";
/// A young process may still be moved to another cgroup: until then it is asked each second.
const YOUNG: u64 = 3;
/// And after that each so many seconds.
const AGAIN: u64 = 10;

/// Counts by looking through /proc.
#[derive(Debug)]
pub struct Procfs {
    proc: PathBuf,
    missing: Vec<String>,
    known: HashMap<(u32, u64), Known>,
    /// Nanoseconds of a tick, in which /proc counts CPU time.
    tick: u64,
    drains: u64,
}

/// A process that was there when we last looked.
#[derive(Debug)]
struct Known {
    seen: u64,
    first: u64,
    name: String,
    execs: u32,
    container: Option<ContainerHandle>,
    handle: Option<ProcessHandle>,
    cpu: u64,
    io: Option<Io>,
}

impl Procfs {
    /// A source over /proc.
    pub fn new() -> Self {
        Self::under(Path::new("/proc"))
    }

    /// A source over a folder that is laid out as /proc is.
    pub fn under(proc: &Path) -> Self {
        // SAFETY: the call takes a number and gives one, and touches no memory.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        let ticks = u64::try_from(ticks)
            .ok()
            .filter(|ticks| *ticks > 0)
            .unwrap_or(100);
        let missing = [
            "files: what was read and written is known by process, not by file, and sockets and pipes are in it",
            "network: peers and their bytes are not known",
            "processes that live for less than a second, and what others did in their last one, are only in the container's own figures",
            "CPU by core is inexact: a process's time is charged to the core it was last on, to the hundredth of a second",
            "exit codes and signals of processes are not known",
        ];
        Self {
            proc: proc.to_owned(),
            missing: missing.map(str::to_owned).to_vec(),
            known: HashMap::new(),
            tick: SECOND / ticks,
            drains: 0,
        }
    }

    fn read(&self, pid: u32, file: &str) -> Option<Vec<u8>> {
        // A process may end while it is read: what is left of it is nothing.
        fs::read(self.proc.join(pid.to_string()).join(file)).ok()
    }

    /// Takes in one process.
    fn look<S: Sink>(&mut self, at: u64, pid: u32, host: &mut Host<'_>, sink: &mut S) {
        let Some(stat) = self.read(pid, "stat").and_then(|text| Stat::parse(&text)) else {
            return;
        };
        let drains = self.drains;
        let start = host.clock.of_boot(stat.start.saturating_mul(self.tick));
        let cpu = stat.cpu.saturating_mul(self.tick);
        let key = (pid, stat.start);
        let is_new = !self.known.contains_key(&key);
        let age = self.known.get(&key).map_or(0, |known| drains - known.first);
        let ask = is_new || age < YOUNG || drains.is_multiple_of(AGAIN);
        let container = if ask {
            let cgroup = self.read(pid, "cgroup").unwrap_or_default();
            let cgroup = String::from_utf8_lossy(&cgroup);
            let path = host.containers.hierarchies().primary().path_of(&cgroup);
            path.and_then(|path| host.containers.of_path(at, &path, sink))
        } else {
            self.known.get(&key).and_then(|known| known.container)
        };
        let io = container
            .and_then(|_| self.read(pid, "io"))
            .and_then(|text| Io::parse(&text));
        // What it did before we came is not news, unless it came after our last look.
        let born = self.drains > 0 && is_new;
        let known = self.known.entry(key).or_insert_with(|| Known {
            seen: drains,
            first: drains,
            name: stat.name.clone(),
            execs: 0,
            container: None,
            handle: None,
            cpu: if born { 0 } else { cpu },
            io: if born { Some(Io::default()) } else { io },
        });
        known.seen = drains;
        let mut changed = known.container != container;
        if known.name != stat.name {
            known.name.clone_from(&stat.name);
            known.execs += 1;
            changed = true;
        }
        let used = cpu.saturating_sub(known.cpu);
        known.cpu = cpu;
        let before = known.io;
        known.io = io.or(before);
        known.container = container;
        let Some(container) = container else {
            if let Some(handle) = known.handle.take() {
                sink.release_process(handle);
            }
            return;
        };
        let (execs, old) = (known.execs, known.handle);
        let handle = match old {
            Some(handle) if !changed => handle,
            _ => {
                if let Some(old) = old {
                    sink.release_process(old);
                }
                let id = ProcessId {
                    pid,
                    start,
                    exec: execs,
                };
                let process = self.describe(id, &stat);
                let handle = sink.process(container, &process);
                if let Some(known) = self.known.get_mut(&key) {
                    known.handle = Some(handle);
                }
                handle
            }
        };
        if used > 0 {
            sink.cpu(at, handle, stat.core, used);
        }
        let memory = Memory {
            vm: stat.vm,
            rss: stat.rss_pages.saturating_mul(page_size()),
            swap: 0,
        };
        if memory.vm > 0 {
            sink.memory(at, handle, memory);
        }
        if let (Some(before), Some(now)) = (before, io) {
            let news = FileIo {
                bytes_in: now.bytes_in.saturating_sub(before.bytes_in),
                bytes_out: now.bytes_out.saturating_sub(before.bytes_out),
                ops_in: now.ops_in.saturating_sub(before.ops_in),
                ops_out: now.ops_out.saturating_sub(before.ops_out),
                opens: 0,
            };
            if news != FileIo::default() {
                let all = File {
                    path: ALL.to_owned(),
                    kind: FileKind::Unknown,
                };
                let all = sink.file(container, &all);
                sink.file_io(at, handle, all, news);
            }
        }
    }

    /// All that is known of a process but its numbers.
    fn describe(&self, id: ProcessId, stat: &Stat) -> Process {
        let status = self.read(id.pid, "status").unwrap_or_default();
        let (uid, container_pid) = stat::identity(&status);
        let exe = fs::read_link(self.proc.join(id.pid.to_string()).join("exe"));
        let mut args = self.read(id.pid, "cmdline").unwrap_or_default();
        args.truncate(4_096);
        let args = String::from_utf8_lossy(&args);
        Process {
            container_pid,
            parent: stat.parent,
            uid,
            exe: exe.map_or_else(
                |_| String::new(),
                |path| path.to_string_lossy().into_owned(),
            ),
            args: args.trim_end_matches('\0').to_owned(),
            ..Process::new(id, stat.name.clone())
        }
    }
}

impl Default for Procfs {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for Procfs {
    fn hooks(&self) -> &str {
        "procfs"
    }

    fn missing(&self) -> &[String] {
        &self.missing
    }

    fn poll<S: Sink>(&mut self, host: &mut Host<'_>, sink: &mut S) {
        // No event tells of containers: a short one is found only by looking often.
        let now = host.clock.now();
        host.containers.look(now, sink);
    }

    fn drain<S: Sink>(
        &mut self,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError> {
        let entries = fs::read_dir(&self.proc).map_err(|source| SourceError {
            what: format!("cannot look through {}", self.proc.display()),
            source,
        })?;
        for entry in entries.flatten() {
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(pid) = pid {
                self.look(at, pid, host, sink);
            }
        }
        let drains = self.drains;
        self.known.retain(|_, known| {
            let there = known.seen == drains;
            if let (false, Some(handle)) = (there, known.handle) {
                sink.release_process(handle);
            }
            there
        });
        self.drains += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
