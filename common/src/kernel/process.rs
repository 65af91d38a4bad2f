//! Processes: their records in the ring buffer.

use super::key::ProcessKey;
use super::plain;
use super::record::Header;

/// The kernel's `comm`: NUL-terminated.
pub type Comm = [u8; 16];

/// A process was forked, moved into a cgroup, renamed, or found alive when the agent started.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessRecord {
    /// Kind, time and process.
    pub header: Header,
    /// The parent at that time.
    pub parent: ProcessKey,
    /// Address where the stack of its program began, as in field 28 of /proc/PID/stat. It tells apart
    /// what one process runs before and after an exec. 0 if its first thread has ended.
    pub stack: u64,
    /// User id (effective) in the initial user namespace.
    pub uid: u32,
    /// Group id (effective) in the initial user namespace.
    pub gid: u32,
    /// Process id in its own pid namespace.
    pub container_pid: u32,
    /// Zero.
    pub unused: u32,
    /// Name.
    pub comm: Comm,
}

/// A process called `exec`. `exe_len` bytes of path and `args_len` bytes of arguments follow. The path
/// is that of the file that runs; no path if it could not be read.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExecRecord {
    /// The process.
    pub process: ProcessRecord,
    /// Highest resident set before this exec, in pages. The peak in [`ExitRecord`] includes it.
    pub peak_pages: u64,
    /// Bytes of the program's path that follow. `EXE_MAX - 1` if its beginning was cut.
    pub exe_len: u32,
    /// Bytes of arguments that follow the path, NUL after each.
    pub args_len: u32,
    /// Bytes of all arguments; more than `args_len` if they were cut.
    pub args_total: u32,
    /// Zero.
    pub unused: u32,
}

/// A process exited.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExitRecord {
    /// Kind, time and process.
    pub header: Header,
    /// Highest resident set of the process's life, in pages.
    pub peak_pages: u64,
    /// Virtual size at exit, in pages; 0 where the kernel had released the memory by then.
    pub vm_pages: u64,
    /// As `wait` returns it: signal in the low 7 bits, exit code in bits 8 to 15.
    pub status: u32,
    /// Process id in its own pid namespace; 1 is the first process of a container.
    pub container_pid: u32,
    /// User id (effective) in the initial user namespace.
    pub uid: u32,
    /// Group id (effective) in the initial user namespace.
    pub gid: u32,
    /// Name.
    pub comm: Comm,
}

/// Bytes reserved for a program's path, a power of two. Of a path that is not shorter the end is kept.
pub const EXE_MAX: usize = 1024;
/// Bytes reserved for arguments, a power of two. Arguments that are not shorter are cut.
pub const ARGS_MAX: usize = 8192;

plain! {
    ProcessRecord is 104 bytes;
    ExecRecord is 128 bytes;
    ExitRecord is 88 bytes;
}
