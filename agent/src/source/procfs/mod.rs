//! The source without eBPF: looks at /proc once a second.
//!
//! It sees what is there at that moment. What began and ended between two looks
//! is not seen, CPU time comes in the kernel's ticks, and bytes are told by
//! process only, not by file or peer. [`Procfs::missing`] says all of it.

mod stat;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::process::{Memory, Process, ProcessId};

use crate::clock::SECOND;
use crate::container::hierarchy::Hierarchies;
use crate::sink::{ContainerHandle, FileHandle, ProcessHandle, Sink};
use crate::source::{Host, Source, SourceError};
use stat::{Io, Stat};

/// The row that stands for everything that a process read and wrote.
const ALL: &str = "(all files, pipes and sockets)";
/// Longest command line that is kept, in bytes.
const ARGS: usize = 4_096;

/// Counts by reading /proc.
#[derive(Debug)]
pub struct Procfs {
    proc: PathBuf,
    tick_ns: u64,
    page: u64,
    known: HashMap<u32, Known>,
    missing: Vec<String>,
    looks: u64,
}

#[derive(Debug)]
struct Known {
    /// When it was last seen: the number of the look.
    seen: u64,
    start_ticks: u64,
    /// None for the host's own.
    counted: Option<Counted>,
}

#[derive(Debug)]
struct Counted {
    container: ContainerHandle,
    handle: ProcessHandle,
    file: FileHandle,
    process: Process,
    cpu_ticks: u64,
    io: Io,
}

impl Procfs {
    /// A source over /proc.
    pub fn new() -> Self {
        Self::under(Path::new("/proc"))
    }

    /// A source over a folder that is laid out as /proc is.
    pub fn under(proc: &Path) -> Self {
        // SAFETY: both read constants of the system.
        let (ticks, page) = unsafe {
            (
                libc::sysconf(libc::_SC_CLK_TCK),
                libc::sysconf(libc::_SC_PAGESIZE),
            )
        };
        let missing = [
            "processes that live less than a second: /proc is looked at once a second",
            "cpu by core: a process's time goes to the core that it was last seen on",
            "cpu below a tick: /proc counts in steps, mostly of 10 ms",
            "files by name: /proc tells bytes by process only, files, pipes and sockets together",
            "network by peer: as for files",
            "exits: a process's code or signal is not told",
        ];
        Self {
            proc: proc.to_owned(),
            tick_ns: SECOND / u64::try_from(ticks).unwrap_or(100).max(1),
            page: u64::try_from(page).unwrap_or(4_096),
            known: HashMap::new(),
            missing: missing.map(str::to_owned).to_vec(),
            looks: 0,
        }
    }

    /// Looks at one process; what is gone meanwhile is left out.
    fn look<S: Sink>(&mut self, pid: u32, at: u64, host: &mut Host<'_>, sink: &mut S) {
        let folder = self.proc.join(pid.to_string());
        let Some(stat) = read(&folder.join("stat")).and_then(|text| Stat::parse(&text)) else {
            return;
        };
        let again = self
            .known
            .get(&pid)
            .is_some_and(|known| known.start_ticks == stat.start_ticks);
        if !again {
            self.forget(pid, at, sink);
            let counted = self.meet(pid, &folder, &stat, at, host, sink);
            let (seen, start_ticks) = (self.looks, stat.start_ticks);
            self.known.insert(
                pid,
                Known {
                    seen,
                    start_ticks,
                    counted,
                },
            );
        }
        let Some(known) = self.known.get_mut(&pid) else {
            return;
        };
        known.seen = self.looks;
        let Some(counted) = &mut known.counted else {
            return;
        };
        if counted.process.name != stat.name {
            counted.exec(&folder, &stat, at, sink);
        }
        let ticks = stat.cpu_ticks.saturating_sub(counted.cpu_ticks);
        counted.cpu_ticks = stat.cpu_ticks;
        if ticks > 0 {
            sink.cpu(at, counted.handle, stat.core, ticks * self.tick_ns);
        }
        if ticks > 0 || !again {
            let swap = read(&folder.join("status")).map_or(0, |text| stat::swap(&text));
            let memory = Memory {
                vm: stat.vm,
                rss: stat.rss_pages * self.page,
                swap,
            };
            sink.memory(at, counted.handle, memory);
        }
        if let Some(io) = read(&folder.join("io")).and_then(|text| Io::parse(&text)) {
            let moved = io.since(&counted.io);
            counted.io = io;
            if moved != FileIo::default() {
                sink.file_io(at, counted.handle, counted.file, moved);
            }
        }
    }

    /// A process that was not there before: whose it is, and what it is.
    fn meet<S: Sink>(
        &self,
        pid: u32,
        folder: &Path,
        stat: &Stat,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Option<Counted> {
        let path = cgroup(
            &read(&folder.join("cgroup"))?,
            host.containers.hierarchies(),
        )?;
        let container = host.containers.of_path(at, &path, sink)?;
        let start = host
            .clock
            .of_boot(stat.start_ticks.saturating_mul(self.tick_ns));
        let id = ProcessId {
            pid,
            start,
            exec: 0,
        };
        let status = read(&folder.join("status")).unwrap_or_default();
        let process = Process {
            container_pid: stat::innermost_pid(&status),
            uid: stat::uid(&status),
            parent: stat.parent,
            exe: exe(folder),
            args: args(folder),
            ..Process::new(id, stat.name.clone())
        };
        let handle = sink.process(container, &process);
        let file = sink.file(
            container,
            &File {
                path: ALL.to_owned(),
                kind: FileKind::Unknown,
            },
        );
        // What it did before we came is not of this second; of one that is new, it is.
        let new = self.looks > 1;
        let io = read(&folder.join("io"))
            .and_then(|text| Io::parse(&text))
            .unwrap_or_default();
        Some(Counted {
            container,
            handle,
            file,
            process,
            cpu_ticks: if new { 0 } else { stat.cpu_ticks },
            io: if new { Io::default() } else { io },
        })
    }

    /// A process that is gone.
    fn forget<S: Sink>(&mut self, pid: u32, at: u64, sink: &mut S) {
        if let Some(Known {
            counted: Some(mut counted),
            ..
        }) = self.known.remove(&pid)
        {
            counted.process.end = at;
            sink.process(counted.container, &counted.process);
            sink.release_process(counted.handle);
        }
    }
}

impl Counted {
    /// It runs another program now, or renamed itself.
    fn exec<S: Sink>(&mut self, folder: &Path, stat: &Stat, at: u64, sink: &mut S) {
        self.process.end = at;
        sink.process(self.container, &self.process);
        sink.release_process(self.handle);
        self.process.end = 0;
        self.process.id.exec += 1;
        self.process.name.clone_from(&stat.name);
        self.process.exe = exe(folder);
        self.process.args = args(folder);
        self.handle = sink.process(self.container, &self.process);
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

    fn poll<S: Sink>(&mut self, _: &mut Host<'_>, _: &mut S) {}

    fn drain<S: Sink>(
        &mut self,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError> {
        self.looks += 1;
        host.containers.look(at, sink);
        let entries = fs::read_dir(&self.proc).map_err(|source| SourceError {
            what: format!("cannot read {}", self.proc.display()),
            source,
        })?;
        for entry in entries.flatten() {
            if let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            {
                self.look(pid, at, host, sink);
            }
        }
        let gone: Vec<u32> = self
            .known
            .iter()
            .filter(|(_, known)| known.seen != self.looks)
            .map(|(pid, _)| *pid)
            .collect();
        for pid in gone {
            self.forget(pid, at, sink);
        }
        Ok(())
    }
}

/// A small file's text; what is not UTF-8 in it is replaced.
fn read(path: &Path) -> Option<String> {
    fs::read(path)
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn exe(folder: &Path) -> String {
    fs::read_link(folder.join("exe"))
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn args(folder: &Path) -> String {
    let text = read(&folder.join("cmdline")).unwrap_or_default();
    let mut end = text.len().min(ARGS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim_end_matches('\0').to_owned()
}

/// Path within the primary hierarchy, from the text of /proc/PID/cgroup.
fn cgroup(text: &str, hierarchies: &Hierarchies) -> Option<String> {
    hierarchies.primary().path_of(text).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Procfs, Source as _};

    #[test]
    fn it_says_what_it_cannot_see() {
        let source = Procfs::new();
        assert_eq!(source.hooks(), "procfs");
        for word in ["files by name", "peer", "core", "exits"] {
            assert!(
                source.missing().iter().any(|said| said.contains(word)),
                "{word}"
            );
        }
    }
}
