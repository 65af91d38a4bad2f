//! Parsers of the files of /proc/PID. `proc_pid_stat(5)` and `proc_pid_status(5)` describe them.
//!
//! Our own, as crate `procfs` allocates all fields of each file and panics on texts that no
//! kernel writes (`buf[..start_paren - 1]` in `Stat::from_read`).

use bubble_common::segment::file::FileIo;
use bubble_common::segment::process::Memory;

use crate::printable::escape_bytes;

/// The fields of /proc/PID/stat that are used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stat {
    /// The kernel's `comm`.
    pub name: String,
    /// The thread of this file has ended. Other threads of its process may go on.
    pub is_dead: bool,
    /// Process id of the parent.
    pub parent: u32,
    /// Number of its session; 0 if that began outside of this pid namespace.
    pub session: u32,
    /// Number of threads of the process. One that has ended counts until it is waited for.
    pub threads: u64,
    /// CPU time of all its threads in user and in kernel mode, in ticks.
    pub cpu: u64,
    /// CPU time in user mode of all its threads, and of the children that it has waited for, in ticks.
    pub family_user: u64,
    /// The same in kernel mode.
    pub family_system: u64,
    /// Start in ticks since boot.
    pub start: u64,
    /// Address where the stack began, which tells one program of the process from the next; 0 without
    /// the right to trace the process, or if the thread has ended.
    pub stack: u64,
    /// Core that its first thread last ran on.
    pub core: u32,
}

impl Stat {
    /// Parses the text of a /proc/PID/stat. The name may hold any byte, parentheses and
    /// line ends too; only fields without parentheses follow it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let name = escape_bytes(text.get(open + 1..close)?);
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc_pid_stat(5) counts fields from 1; the first one here is the third.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            name,
            is_dead: matches!(*fields.first()?, "Z" | "X" | "x"),
            threads: number(20)?,
            stack: number(28).unwrap_or(0),
            parent: u32::try_from(number(4)?).ok()?,
            session: number(6)
                .and_then(|session| u32::try_from(session).ok())
                .unwrap_or(0),
            cpu: number(14)?.checked_add(number(15)?)?,
            family_user: number(14)?.saturating_add(number(16).unwrap_or(0)),
            family_system: number(15)?.saturating_add(number(17).unwrap_or(0)),
            start: number(22)?,
            core: number(39)
                .and_then(|core| u32::try_from(core).ok())
                .unwrap_or(0),
        })
    }
}

impl Stat {
    /// Whether the whole process has ended: its first thread has, and it has no other.
    pub fn is_over(&self) -> bool {
        self.is_dead && self.threads <= 1
    }
}

/// The running totals of /proc/PID/io, over all descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Io {
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Calls that read.
    pub ops_in: u64,
    /// Calls that wrote.
    pub ops_out: u64,
}

impl Io {
    /// What was done between `before` and now.
    pub fn since(self, before: Self) -> FileIo {
        FileIo {
            bytes_in: self.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(before.bytes_out),
            ops_in: self.ops_in.saturating_sub(before.ops_in),
            ops_out: self.ops_out.saturating_sub(before.ops_out),
            opens: 0,
            mapped_pages: 0,
            waited: 0,
        }
    }

    /// Parses the text of a /proc/PID/io.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let number = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key))?;
            value.trim().parse().ok()
        };
        Some(Self {
            bytes_in: number("rchar:")?,
            bytes_out: number("wchar:")?,
            ops_in: number("syscr:")?,
            ops_out: number("syscw:")?,
        })
    }
}

/// Memory from the text of a /proc/PID/statm, in pages of `page` bytes: it begins with all pages, the
/// resident ones, and those of them that are of files or shared memory. It has no swap.
pub fn memory_of_statm(text: &[u8], page: u64) -> Option<Memory> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace();
    let mut bytes = || Some(words.next()?.parse::<u64>().ok()?.saturating_mul(page));
    let (vm, rss, shared) = (bytes()?, bytes()?, bytes()?);
    Some(Memory {
        vm,
        rss,
        swap: 0,
        private: rss.saturating_sub(shared),
    })
}

/// Effective user id, effective group id and innermost process id, from the text of a
/// /proc/PID/status. `None` if it has no such lines.
pub fn identity(text: &[u8]) -> Option<(u32, u32, u32)> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut words = |key: &str| {
        let line = lines.find_map(|line| line.strip_prefix(key.as_bytes()))?;
        Some(std::str::from_utf8(line).ok()?.split_ascii_whitespace())
    };
    // The name, which comes first, has its line ends escaped by the kernel.
    let uid = words("Uid:")?.nth(1)?.parse().ok()?;
    let gid = words("Gid:")?.nth(1)?.parse().ok()?;
    let pid = words("NSpid:")?.last()?.parse().ok()?;
    Some((uid, gid, pid))
}

#[cfg(test)]
mod tests {
    use super::{Io, Memory, Stat, identity, memory_of_statm};

    /// As Linux 6.18 writes it.
    const STAT: &str = "71 (a) b (c) S 1 71 70 0 -1 4194560 180 0 0 0 12 34 5 6 20 0 1 0 5678 2908160 321 18446744073709551615 1 1 77 0 0 0 0 0 0 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_process() {
        let expected = Stat {
            name: "a) b (c".to_owned(),
            is_dead: false,
            threads: 1,
            stack: 77,
            parent: 1,
            session: 70,
            cpu: 46,
            family_user: 17,
            family_system: 40,
            start: 5_678,
            core: 3,
        };
        assert_eq!(Stat::parse(STAT.as_bytes()), Some(expected));
    }

    #[test]
    fn hostile_texts() {
        for cut in 0..STAT.len() {
            let _ = Stat::parse(&STAT.as_bytes()[..cut]);
        }
        for text in [
            "",
            "(",
            ")(",
            "1 () S",
            "1 (x) S 99999999999 1 1",
            "\u{ff}(",
        ] {
            assert_eq!(Stat::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Io::parse(b"rchar: 1\nwchar: x\n"), None);
        assert_eq!(Io::parse(&[0xff]), None);
        assert_eq!(identity(b"Uid:\nGid:\nNSpid:\t\n"), None);
        assert_eq!(identity(b""), None);
    }

    #[test]
    fn reads_and_writes() {
        let text = "rchar: 10\nwchar: 20\nsyscr: 1\nsyscw: 2\nread_bytes: 0\nwrite_bytes: 0\n";
        let expected = Io {
            bytes_in: 10,
            bytes_out: 20,
            ops_in: 1,
            ops_out: 2,
        };
        assert_eq!(Io::parse(text.as_bytes()), Some(expected));
    }

    #[test]
    fn memory_is_pages_in_statm() {
        let expected = Memory {
            vm: 40_960,
            rss: 12_288,
            swap: 0,
            private: 8_192,
        };
        assert_eq!(memory_of_statm(b"10 3 1 0 0 2 0\n", 4096), Some(expected));
        for text in ["10", "10 3", "-1 3 1", "1 1 \u{ff}"] {
            assert_eq!(memory_of_statm(text.as_bytes(), 4096), None, "{text}");
        }
    }

    #[test]
    fn who_it_is() {
        // Real, effective, saved and file system id; names need not be UTF-8.
        let text =
            b"Name:\t\xff\nNgid:\t8\nUid:\t0\t1000\t0\t2\nGid:\t0\t100\t3\t0\nNSpid:\t71\t5\n";
        assert_eq!(identity(text), Some((1_000, 100, 5)));
    }
}
