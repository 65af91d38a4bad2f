//! The lines of /proc/PID/{stat,status,io}: proc_pid_stat(5), proc_pid_status(5),
//! proc_pid_io(5). Names of processes are any bytes that they like, so nothing is
//! taken for granted.

use bubble_common::segment::file::FileIo;

/// What is used of /proc/PID/stat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    /// The kernel's `comm`.
    pub(super) name: String,
    /// Process id of the parent.
    pub(super) parent: u32,
    /// User and system time, ticks.
    pub(super) cpu_ticks: u64,
    /// When it started, ticks since boot.
    pub(super) start_ticks: u64,
    /// Virtual size, bytes.
    pub(super) vm: u64,
    /// Resident set, pages.
    pub(super) rss_pages: u64,
    /// The core it was last on.
    pub(super) core: u32,
}

impl Stat {
    /// `None` when the line is not one of stat's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // The name may hold parentheses and spaces: it ends at the last one.
        let (open, close) = (text.find('(')?, text.rfind(')')?);
        let name = text.get(open + 1..close)?.to_owned();
        let fields: Vec<&str> = text.get(close + 1..)?.split_whitespace().collect();
        // Numbered from 3 (state) in the manual.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            name,
            parent: u32::try_from(field(4)?).ok()?,
            cpu_ticks: field(14)?.saturating_add(field(15)?),
            start_ticks: field(22)?,
            vm: field(23)?,
            rss_pages: field(24)?,
            core: u32::try_from(field(39)?).ok()?,
        })
    }
}

/// What is used of /proc/PID/io.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Io {
    bytes_in: u64,
    bytes_out: u64,
    ops_in: u64,
    ops_out: u64,
}

impl Io {
    /// `None` when a line is missing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| after(text, name)?.parse().ok();
        Some(Self {
            bytes_in: field("rchar:")?,
            bytes_out: field("wchar:")?,
            ops_in: field("syscr:")?,
            ops_out: field("syscw:")?,
        })
    }

    /// What happened since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> FileIo {
        FileIo {
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
            ops_in: self.ops_in.saturating_sub(earlier.ops_in),
            ops_out: self.ops_out.saturating_sub(earlier.ops_out),
            opens: 0,
        }
    }
}

/// Swapped out, bytes, by /proc/PID/status.
pub(super) fn swap(status: &str) -> u64 {
    after(status, "VmSwap:")
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0)
        .saturating_mul(1_024)
}

/// The real user id, by /proc/PID/status.
pub(super) fn uid(status: &str) -> u32 {
    after(status, "Uid:")
        .and_then(|uid| uid.parse().ok())
        .unwrap_or(0)
}

/// The process id in the innermost namespace, by /proc/PID/status.
pub(super) fn innermost_pid(status: &str) -> u32 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .and_then(|pids| pids.split_whitespace().last()?.parse().ok())
        .unwrap_or(0)
}

/// The first word after `name` at the beginning of a line.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()
}

#[cfg(test)]
mod tests {
    use super::{Io, Stat, innermost_pid, swap, uid};

    const LINE: &str = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 1 0 9001 \
        4096000 250 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0";

    #[test]
    fn a_name_may_hold_anything() {
        let stat = Stat::parse(LINE).unwrap();
        assert_eq!(stat.name, "a) b (c");
        assert_eq!(
            (stat.parent, stat.cpu_ticks, stat.start_ticks),
            (7, 42, 9001)
        );
        assert_eq!((stat.vm, stat.rss_pages, stat.core), (4_096_000, 250, 3));
    }

    #[test]
    fn a_line_that_is_cut_is_none() {
        for end in 0..LINE.len() {
            // Up to the last field that is used, every cut takes something away or shortens it.
            let _ = Stat::parse(&LINE[..end]);
        }
        assert_eq!(Stat::parse("42 (x) S 7"), None);
        assert_eq!(Stat::parse(")("), None);
        assert_eq!(Io::parse("rchar: 1\n"), None);
    }

    #[test]
    fn io_is_a_difference() {
        let text = |n: u64| format!("rchar: {n}\nwchar: 5\nsyscr: 2\nsyscw: 1\nread_bytes: 0\n");
        let (early, late) = (Io::parse(&text(10)).unwrap(), Io::parse(&text(25)).unwrap());
        assert_eq!(late.since(&early).bytes_in, 15);
        assert_eq!(early.since(&late).bytes_in, 0);
    }

    #[test]
    fn status_has_ids_and_swap() {
        let status =
            "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nVmSwap:\t      12 kB\nNSpid:\t4711\t9\n";
        assert_eq!(
            (uid(status), swap(status), innermost_pid(status)),
            (1000, 12 * 1024, 9)
        );
        assert_eq!((uid(""), swap(""), innermost_pid("")), (0, 0, 0));
    }
}
