//! What /proc says of a process that is still there: its memory, and of one of
//! which no record came, who it is.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt as _;

use bubble_common::segment::process::{Memory, Process};

use super::record::arguments;
use crate::kept::Kept;

/// Longest command line that is read, in bytes.
const ARGS_MAX: u64 = 8192;
/// Room for `statm` or `status` of a process, bytes.
const LONGEST: usize = 16 * 1024;
/// /proc gives starts in ticks of this many ns (USER_HZ is 100 on all that we run on).
const TICK: u64 = 10_000_000;

/// Bytes of a page.
pub fn page_size() -> u64 {
    // SAFETY: no pointers; the kernel always knows it.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

/// The file of /proc that tells the memory of a process. When the process has gone it says so,
/// whoever has its number then.
#[derive(Debug)]
pub struct Source {
    file: Kept,
    /// It is `status`, and not `statm`, which says nothing of swap.
    status: bool,
}

/// Reads the memory of processes, with one buffer for all.
pub struct Reader {
    buffer: Vec<u8>,
    page: u64,
    /// Whether the host has swap at all: without, reading is cheaper.
    swap: bool,
}

impl Reader {
    /// Looks whether the host has swap.
    pub fn new() -> Self {
        let mut reader = Self {
            buffer: vec![0; LONGEST],
            page: page_size(),
            swap: false,
        };
        reader.look();
        reader
    }

    /// Looks again whether the host has swap, as it may be added.
    pub fn look(&mut self) {
        self.swap = fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1);
    }

    /// The memory of a process; nothing when it has gone. `kept` is its file, if that was kept.
    pub fn read(&mut self, pid: u32, kept: &mut Option<Source>) -> Option<Memory> {
        if let Some(source) = kept.take_if(|source| source.status == self.swap) {
            let memory = self.memory(source.file.file())?;
            *kept = Some(source);
            return Some(memory);
        }
        let name = if self.swap { "status" } else { "statm" };
        let file = File::open(format!("/proc/{pid}/{name}")).ok()?;
        let memory = self.memory(&file)?;
        let status = self.swap;
        *kept = Kept::new(file).map(|file| Source { file, status });
        Some(memory)
    }

    fn memory(&mut self, file: &File) -> Option<Memory> {
        // One reading gives all of it, and asking for more would cost as much again.
        let length = file.read_at(&mut self.buffer, 0).ok()?;
        let text = str::from_utf8(self.buffer.get(..length)?).ok()?;
        if self.swap {
            Some(of_status(text))
        } else {
            of_statm(text, self.page)
        }
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

/// `statm`: pages in all, and those resident, before others.
fn of_statm(text: &str, page: u64) -> Option<Memory> {
    let mut numbers = text
        .split_ascii_whitespace()
        .map_while(|word| word.parse::<u64>().ok());
    Some(Memory {
        vm: numbers.next()?.saturating_mul(page),
        rss: numbers.next()?.saturating_mul(page),
        swap: 0,
    })
}

/// `status`, in which a process that is ending has no such lines.
fn of_status(text: &str) -> Memory {
    Memory {
        vm: kib(text, "VmSize:").unwrap_or(0),
        rss: kib(text, "VmRSS:").unwrap_or(0),
        swap: kib(text, "VmSwap:").unwrap_or(0),
    }
}

/// A line like `VmSwap:      12 kB`, in bytes.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// Fills in what is not known of a process that was forked at `start` (ns since boot), as far as
/// /proc still has it.
pub fn describe(process: &mut Process, start: u64) {
    let folder = format!("/proc/{}", process.id.pid);
    let Ok(stat) = fs::read_to_string(format!("{folder}/stat")) else {
        return;
    };
    let Some(stat) = Stat::parse(&stat) else {
        return;
    };
    // The number may have gone to another process since.
    if stat.start.abs_diff(start / TICK) > 1 {
        return;
    }
    if process.name.is_empty() {
        process.name = stat.name.to_owned();
        process.parent = stat.parent;
    }
    if process.container_pid == 0
        && let Ok(status) = fs::read_to_string(format!("{folder}/status"))
    {
        (process.uid, process.container_pid) = identity(&status);
    }
    if process.exe.is_empty()
        && let Ok(exe) = fs::read_link(format!("{folder}/exe"))
    {
        process.exe = exe.to_string_lossy().into_owned();
    }
    if process.args.is_empty()
        && let Ok(file) = File::open(format!("{folder}/cmdline"))
    {
        let mut args = Vec::new();
        // What could be read is what there is: the process may be ending.
        let _ = file.take(ARGS_MAX + 1).read_to_end(&mut args);
        let total = args.len() as u32;
        args.truncate(ARGS_MAX as usize);
        process.args = arguments(&args, total);
    }
}

/// Whether a process that was forked at `start` (ns since boot) is still there; a zombie is not.
pub fn is_there(pid: u32, start: u64) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // What cannot be read is given the benefit of the doubt.
    Stat::parse(&text).is_none_or(|stat| !stat.dead && stat.start.abs_diff(start / TICK) <= 1)
}

/// What is taken from /proc/PID/stat.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    name: &'a str,
    dead: bool,
    parent: u32,
    /// In ticks since boot.
    start: u64,
}

impl<'a> Stat<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        // The name may hold anything, parentheses and spaces too.
        let (before, after) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = after.split_ascii_whitespace();
        Some(Self {
            name,
            dead: matches!(fields.next()?, "Z" | "X"),
            parent: fields.next()?.parse().ok()?,
            start: fields.nth(17)?.parse().ok()?,
        })
    }
}

/// The effective user id, and the number in the innermost pid namespace.
fn identity(status: &str) -> (u32, u32) {
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::split_ascii_whitespace)
    };
    let uid = field("Uid:").and_then(|mut words| words.nth(1)?.parse().ok());
    let pid = field("NSpid:").and_then(|words| words.last()?.parse().ok());
    (uid.unwrap_or(0), pid.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{Memory, Stat, identity, of_statm, of_status};

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let text = "42 (a) 1 (b) S 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 1234 5 6";
        let stat = Stat::parse(text).expect("it is well-formed");
        assert_eq!(
            stat,
            Stat {
                name: "a) 1 (b",
                dead: false,
                parent: 7,
                start: 1234
            }
        );
        assert_eq!(Stat::parse("42 (a"), None);
        assert_eq!(Stat::parse("42 (a) S"), None);
    }

    #[test]
    fn memory_and_identity_are_lines_of_status() {
        let text = "Name:\tx\nUid:\t1\t2\t3\t4\nNSpid:\t100\t20\t3\nVmSize:\t  7 kB\nVmRSS:\t 5 kB\n\
            VmSwap:\t      12 kB\n";
        let memory = |vm, rss, swap| Memory { vm, rss, swap };
        assert_eq!(of_status(text), memory(7 * 1024, 5 * 1024, 12 * 1024));
        assert_eq!(identity(text), (2, 3));
        let hostile = "VmSize: 12 MB\nVmRSS:\nVmSwap: 99999999999999999999 kB";
        assert_eq!(of_status(hostile), memory(0, 0, 0));
        assert_eq!(identity(""), (0, 0));
    }

    #[test]
    fn memory_is_pages_in_statm() {
        let memory = of_statm("10 3 1 0 0 2 0\n", 4096).expect("it is well-formed");
        assert_eq!((memory.vm, memory.rss, memory.swap), (40_960, 12_288, 0));
        assert_eq!(of_statm("10", 4096), None);
        assert_eq!(of_statm("-1 3", 4096), None);
    }
}
