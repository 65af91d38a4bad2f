//! Facts of one process from /proc/PID, for the sources that read them.
//!
//! The first thread of a process may end before others (`pthread_exit` in `main`). /proc/PID then
//! has neither memory nor program nor arguments, which any other thread still has.

pub mod stat;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bubble_common::kernel::process::ARGS_MAX;
use bubble_common::segment::process::Process;

use self::stat::{Stat, identity};
use crate::printable::escape_bytes;

/// Maximum length of a command line in bytes, as in the records of the kernel. Of a longer one the
/// beginning is kept.
const MAX_ARGS: usize = ARGS_MAX - 1;
/// Unit of starts in /proc, ns (USER_HZ is 100 on all supported hosts).
pub const TICK: u64 = 10_000_000;

/// The folder of a process.
#[derive(Debug)]
pub struct ProcessFolder {
    path: PathBuf,
}

/// What /proc says about a process, while it ran one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's `comm`.
    pub name: String,
    /// Process id of the parent.
    pub parent: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id in its own (innermost) pid namespace.
    pub container_pid: u32,
    /// Path of the file that runs; empty if it cannot be read.
    pub exe: String,
    /// The command line, words separated by NUL; empty if it cannot be read.
    pub args: String,
}

impl Facts {
    /// Takes these facts over into `process`, except its identity, and its parent and program if
    /// they are known already. Returns whether anything changed.
    pub fn apply(self, process: &mut Process) -> bool {
        let before = process.clone();
        process.name = self.name;
        process.uid = self.uid;
        process.gid = Some(self.gid);
        process.container_pid = self.container_pid;
        if process.parent == 0 {
            process.parent = self.parent;
        }
        if process.exe.is_empty() {
            process.exe = self.exe;
        }
        if !self.args.is_empty() {
            process.args = self.args;
        }
        *process != before
    }
}

impl ProcessFolder {
    /// The folder of process `pid` below `proc`.
    pub fn new(proc: &Path, pid: u32) -> Self {
        Self {
            path: proc.join(pid.to_string()),
        }
    }

    /// A file of the process.
    ///
    /// # Errors
    /// When the process has ended or this user may not read the file.
    pub fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(file))
    }

    /// The `stat` of the process; `None` if it is malformed.
    ///
    /// # Errors
    /// When the process has ended or this user may not read it.
    pub fn stat(&self) -> io::Result<Option<Stat>> {
        self.read("stat").map(|text| Stat::parse(&text))
    }

    /// Whether the process that was forked at `start` (ticks since boot) still runs. One whose parent
    /// has not waited for it does not. An error while reading does not end it.
    pub fn is_alive(&self, start: u64) -> bool {
        match self.stat() {
            Ok(Some(stat)) => stat.start == start && !stat.is_over(),
            Ok(None) => true,
            Err(error) => !is_gone(&error),
        }
    }

    /// The folder and `stat` of a thread that still has the memory of the process: the process's own,
    /// unless its first thread has ended. `None` if no thread has it any more.
    ///
    /// # Errors
    /// When the threads may have it, but cannot be read.
    pub fn living(&self, stat: Stat) -> io::Result<Option<(PathBuf, Stat)>> {
        if !stat.is_dead {
            return Ok(Some((self.path.clone(), stat)));
        }
        let Some(threads) = unless_gone(fs::read_dir(self.path.join("task")))? else {
            return Ok(None);
        };
        for thread in threads {
            let thread = thread?.path();
            let Some(text) = unless_gone(fs::read(thread.join("stat")))? else {
                continue;
            };
            if let Some(stat) = Stat::parse(&text).filter(|stat| !stat.is_dead) {
                return Ok(Some((thread, stat)));
            }
        }
        Ok(None)
    }

    /// The facts of the process that was forked at `start` (ticks since boot). `stack` tells its program
    /// from those before and after an `exec`: the address where its stack began, or 0 for any.
    ///
    /// `None` if it is another process or program, if that changed meanwhile, or if /proc cannot be
    /// read. Without the right to trace the process its stack is not known, so `None` too.
    pub fn facts(&self, start: u64, stack: u64) -> Option<Facts> {
        let stat = self.stat().ok()??;
        if stat.start != start || stat.is_over() {
            return None;
        }
        let (name, parent) = (stat.name.clone(), stat.parent);
        let (folder, before) = self.living(stat).ok()??;
        if stack != 0 && before.stack != stack {
            return None;
        }
        let (uid, gid, container_pid) = identity(&self.read("status").ok()?)?;
        let facts = Facts {
            name,
            parent,
            uid,
            gid,
            container_pid,
            exe: exe(&folder),
            args: command_line(&folder),
        };
        let after = Stat::parse(&fs::read(folder.join("stat")).ok()?)?;
        ((after.start, after.stack) == (before.start, before.stack)).then_some(facts)
    }
}

/// Whether process `pid` of a session runs, which /proc need not show: with the mount option hidepid it
/// hides those of other users.
pub fn runs_in_session(pid: u32, session: u32) -> bool {
    // SAFETY: the call takes a number only.
    let found = libc::pid_t::try_from(pid).map(|pid| unsafe { libc::getsid(pid) });
    found.is_ok_and(|found| u32::try_from(found) == Ok(session))
}

/// `None` if the process or thread has ended.
///
/// # Errors
/// All that do not say so, such as too many open files.
pub fn unless_gone<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error of reading /proc/PID says that the process has ended.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Path of the file that runs, as it was before it was deleted; empty if it cannot be read.
fn exe(folder: &Path) -> String {
    let link = folder.join("exe");
    let Ok(path) = fs::read_link(&link) else {
        return String::new();
    };
    let path = escape_bytes(path.as_os_str().as_bytes());
    let is_deleted = fs::metadata(&link).is_ok_and(|file| file.nlink() == 0);
    match path.strip_suffix(" (deleted)") {
        Some(before) if is_deleted => before.to_owned(),
        _ => path,
    }
}

/// The command line; empty if it cannot be read.
fn command_line(folder: &Path) -> String {
    let mut args = Vec::new();
    if let Ok(file) = File::open(folder.join("cmdline")) {
        // A partial text is used: the process may be exiting.
        let _ = file.take(MAX_ARGS as u64 + 1).read_to_end(&mut args);
    }
    let total = args.len() as u64;
    args.truncate(MAX_ARGS);
    arguments(&args, total)
}

/// Arguments as they are stored: separated by NUL, with an ellipsis where they were cut (`total`: bytes
/// of all of them).
pub fn arguments(args: &[u8], total: u64) -> String {
    let is_cut = (args.len() as u64) < total;
    let mut args = args;
    while let Some((0, rest)) = args.split_last() {
        args = rest;
    }
    if is_cut && let Some(last) = args.utf8_chunks().last() {
        // The cut may be within a character.
        args = &args[..args.len() - last.invalid().len()];
    }
    let mut text = escape_bytes(args);
    if is_cut {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
