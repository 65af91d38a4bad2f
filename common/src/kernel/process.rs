//! Processes: what tells one from another in the kernel, and what is said of
//! them in the ring buffer.

use super::plain;
use super::record::Header;

/// Which process, running which program, in which cgroup: the key under which
/// everything is summed.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProcessKey {
    /// Id of the cgroup (its kernfs node) that the agent tells containers by.
    pub cgroup: u64,
    /// When the thread group's leader was forked, ns since boot (suspend included).
    pub start: u64,
    /// Process id (thread group id) in the initial pid namespace.
    pub pid: u32,
    /// The task's `self_exec_id`: one more with each exec, inherited over fork.
    pub exec: u32,
}

/// The kernel's `comm`: NUL-terminated.
pub type Comm = [u8; 16];

/// What is told of a process when it is forked, moved into a cgroup, renamed, or
/// found alive at start.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessRecord {
    /// Kind, time and process.
    pub header: Header,
    /// The parent as it was then.
    pub parent: ProcessKey,
    /// User id (effective) in the initial user namespace.
    pub uid: u32,
    /// Process id in the pid namespace that it lives in.
    pub container_pid: u32,
    /// Its name.
    pub comm: Comm,
}

/// A process has begun to run a program. `exe_len` and then `args_len` bytes follow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExecRecord {
    /// What a [`ProcessRecord`] has too.
    pub process: ProcessRecord,
    /// Highest resident set before this exec, in pages: what the exit says counts beyond it.
    pub peak_pages: u64,
    /// Bytes of the program's path that follow.
    pub exe_len: u32,
    /// Bytes of arguments that follow the path, NUL after each.
    pub args_len: u32,
    /// Bytes of arguments that there were: more than `args_len` when cut.
    pub args_total: u32,
    /// Zero.
    pub unused: u32,
}

/// A process has ended.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExitRecord {
    /// Kind, time and process.
    pub header: Header,
    /// Highest resident set of its life, in pages.
    pub peak_pages: u64,
    /// Virtual size at the end, in pages; 0 where the kernel had dropped it by then.
    pub vm_pages: u64,
    /// As `wait` has it: signal in the low 7 bits, code in bits 8 to 15.
    pub status: u32,
    /// Process id in the pid namespace that it lived in: 1 is the first of a container.
    pub container_pid: u32,
    /// Its name, should this be the first that is heard of it.
    pub comm: Comm,
}

/// Room for the path of a program, which is told when it is shorter: a power of two.
pub const EXE_MAX: usize = 1024;
/// Room for arguments, which are cut when they are not shorter: a power of two.
pub const ARGS_MAX: usize = 8192;

plain! {
    ProcessKey is 24 bytes;
    ProcessRecord is 88 bytes;
    ExecRecord is 112 bytes;
    ExitRecord is 80 bytes;
}
