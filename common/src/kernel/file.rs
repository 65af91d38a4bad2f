//! Files: the keys and values of their sums, and how their paths are told.

use super::plain;
use super::process::ProcessKey;

/// A process and a file.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileKey {
    /// The process.
    pub process: ProcessKey,
    /// The file: [`OTHER`], [`UNKNOWN`], or what a [`FileRecord`] tells the path of.
    pub file: u64,
}

/// The files that the kernel had no room to tell apart.
pub const OTHER: u64 = 0;
/// A file whose descriptor was closed by another thread before it could be looked at.
pub const UNKNOWN: u64 = 1;
/// From here on numbers are files with a path.
pub const FIRST: u64 = 2;

/// What a process did with a file. "In" is into the process: read.
///
/// An operation is a call that succeeded: a read that met the end is one, an
/// error is none. One that moves bytes from file to file (`sendfile`, `splice`,
/// `copy_file_range`) is one at each.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileSum {
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Calls that read.
    pub ops_in: u64,
    /// Calls that wrote.
    pub ops_out: u64,
    /// Times it was opened.
    pub opens: u64,
}

/// What a core did lately: the same process with the same file, in one direction,
/// is added here instead of in the map: see [`super::recent`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileLast {
    /// The generation that it is of; it is empty in every other. [`super::recent::BUSY`]: see there.
    pub generation: u64,
    /// Address of the file's mount.
    pub mount: u64,
    /// Address of its directory entry. It may be used again for another file, hence the names' hashes.
    pub dentry: u64,
    /// Hash and length of its name.
    pub name: u64,
    /// Hash and length of the name of its directory.
    pub parent: u64,
    /// Process and file.
    pub key: FileKey,
    /// Bytes moved.
    pub bytes: u64,
    /// Calls that moved them.
    pub ops: u64,
    /// Times it was opened.
    pub opens: u64,
}

/// The path of a file, as its ring buffer has it: the bytes of the path come
/// first (so that it can be written from its end), and this is at the end.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileRecord {
    /// The file.
    pub file: u64,
    /// `s_magic` of the file system.
    pub magic: u64,
    /// `i_mode` of the inode.
    pub mode: u32,
    /// Bytes of the path before this.
    pub path_len: u32,
}

/// `SOCKFS_MAGIC` of `linux/magic.h`: the "path" is a Unix socket's name, of which `path_len`
/// bytes count, from the beginning.
pub const SOCKET_MAGIC: u64 = 0x534f_434b;

/// Longest path that is told, in bytes; of longer ones the tail is, after an ellipsis.
pub const PATH_MAX: usize = 1024;

crate::offsets! {
    /// Files, and what leads to them and to their paths.
    pub struct FileOffsets from 64 {
        task_files = required "task_struct"."files",
        task_fs = required "task_struct"."fs",
        files_fdt = required "files_struct"."fdt",
        fdtable_max_fds = required "fdtable"."max_fds",
        fdtable_fd = required "fdtable"."fd",
        fs_root = required "fs_struct"."root",
        file_mode = required "file"."f_mode",
        file_flags = required "file"."f_flags",
        file_inode = required "file"."f_inode",
        file_path = required "file"."f_path",
        file_private = required "file"."private_data",
        open_flag = required "open_flags"."open_flag",
        inode_mode = required "inode"."i_mode",
        dentry_parent = required "dentry"."d_parent",
        dentry_name = required "dentry"."d_name",
        dentry_inode = required "dentry"."d_inode",
        dentry_sb = required "dentry"."d_sb",
        super_magic = required "super_block"."s_magic",
        vfsmount_root = required "vfsmount"."mnt_root",
        mount_vfs = required "mount"."mnt",
        mount_parent = required "mount"."mnt_parent",
        mount_point = required "mount"."mnt_mountpoint",
        file_mount = required "file"."f_path.mnt",
        file_dentry = required "file"."f_path.dentry",
    }
}

crate::offsets! {
    /// Requests of io_uring.
    pub struct UringOffsets from 96 {
        request_file = required "io_kiocb"."file",
        request_opcode = required "io_kiocb"."opcode",
        request_result = required "io_kiocb"."cqe.res",
        request_task = optional "io_kiocb"."task",
        request_context = optional "io_kiocb"."tctx",
        context_task = optional "io_uring_task"."task",
        open_slot = optional "io_open"."file_slot",
        splice_in = optional "io_splice"."splice_fd_in",
        splice_flags = optional "io_splice"."flags",
    }
}

plain! {
    FileKey is 32 bytes;
    FileSum is 40 bytes;
    FileLast is 96 bytes;
    FileRecord is 24 bytes;
}
