//! What `/proc` says about traced processes, which are stopped or zombies meanwhile.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use bubble_workload::witnessed::Bytes;

use crate::sys;

/// `USER_HZ`, in which `/proc/PID/stat` tells times.
const TICK_NS: u64 = 10_000_000;
/// `sizeof(struct mmsghdr)`, and the offset of `msg_len` in it.
const MESSAGE_SIZE: u64 = size_of::<libc::mmsghdr>() as u64;
const MESSAGE_LENGTH_OFFSET: u64 = std::mem::offset_of!(libc::mmsghdr, msg_len) as u64;

/// The number behind `name` in a file of one number per line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// `rchar` and `wchar` of one thread. They are complete if it is a zombie.
///
/// The file of the whole process is of no use: it also has the sums of the children that the process
/// waited for (`wait_task_zombie()`).
pub(super) fn thread_io(pid: u32, thread: u32) -> Result<Bytes> {
    let path = format!("/proc/{pid}/task/{thread}/io");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let number = |name| field(&text, name).with_context(|| format!("{path} has no {name}"));
    Ok(Bytes {
        read: number("rchar:")?,
        written: number("wchar:")?,
    })
}

/// The process of a thread.
pub(super) fn process_of(thread: u32) -> Result<u32> {
    let path = format!("/proc/{thread}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let pid = field(&text, "Tgid:").with_context(|| format!("{path} has no Tgid"))?;
    Ok(u32::try_from(pid)?)
}

/// When a process started, ns since the Unix epoch, to a tick.
pub(super) fn start_ns(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // Field 22 counts from before the name, which may contain spaces.
    let after_name = text.rsplit_once(')').map(|(_, rest)| rest);
    let ticks = after_name.and_then(|rest| rest.split_whitespace().nth(19)?.parse::<u64>().ok());
    let ticks = ticks.with_context(|| format!("cannot parse {path}: {text}"))?;
    Ok(sys::boot_ns()? + ticks * TICK_NS)
}

/// The arguments of a process, or none if it has no memory any more.
pub(super) fn args(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Sum of `msg_len` of the first `count` messages at `address` in the memory of a thread.
pub(super) fn message_lengths(thread: u32, address: u64, count: u64) -> u64 {
    let Ok(memory) = File::open(format!("/proc/{thread}/mem")) else {
        return 0;
    };
    let length = |index: u64| {
        let mut bytes = [0; 4];
        let at = address + index * MESSAGE_SIZE + MESSAGE_LENGTH_OFFSET;
        memory.read_exact_at(&mut bytes, at).ok()?;
        Some(u64::from(u32::from_ne_bytes(bytes)))
    };
    (0..count).filter_map(length).sum()
}

/// Whether a descriptor of a thread is open for writing.
pub(super) fn is_writable(thread: u32, descriptor: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{thread}/fdinfo/{descriptor}"));
    let flags = text.ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        i32::from_str_radix(line.trim(), 8).ok()
    });
    flags.is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
}
