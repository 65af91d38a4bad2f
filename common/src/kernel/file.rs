//! Files: keys and values of their sums, and records of their paths.

use super::key::ProcessKey;
use super::plain;

/// A process and a file.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileKey {
    /// The process.
    pub process: ProcessKey,
    /// Number of the file: [`OTHER`], [`UNKNOWN`], or the number in a [`FileRecord`].
    pub file: u64,
}

/// All files for which the kernel side had no room.
pub const OTHER: u64 = 0;
/// A file whose descriptor another thread closed before it could be read.
pub const UNKNOWN: u64 = 1;
/// The smallest number of a file with a path.
pub const FIRST_PATH: u64 = 2;

/// Sums of what a process did with a file. "In" is into the process: read.
///
/// An operation is a call that succeeded. A read at the end of the file counts,
/// an error does not. A call that moves bytes between two files (`sendfile`,
/// `splice`, `copy_file_range`) counts once for each.
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
    /// Number of opens.
    pub opens: u64,
    /// Pages of its mappings that a page fault brought in.
    pub mapped_pages: u64,
    /// Time that threads slept in calls on it, or until a page of it was read, ns.
    pub waited_ns: u64,
}

/// What a process did lately with a file in one direction: an entry of the last-used cache
/// ([`super::cpu_state`]).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileLast {
    /// Generation of the sums below in the lower half, and the epoch of paths in the upper one
    /// ([`super::cpu_state::generation_of`]); or [`super::cpu_state::BUSY`]. In any other generation the
    /// entry is empty. In any other epoch the file may have another number by now.
    pub stamp: u64,
    /// Address of the file's mount.
    pub mount: u64,
    /// Address of the directory entry. The kernel may reuse it for another file, which is then opened
    /// in a later epoch.
    pub dentry: u64,
    /// Hash and length of the file's name.
    pub name: u64,
    /// Hash of the names up to the root. Of a file without a directory: address of its operations.
    pub check: u64,
    /// Process and file.
    pub key: FileKey,
    /// Bytes moved.
    pub bytes: u64,
    /// Calls that moved them.
    pub ops: u64,
    /// Number of opens.
    pub opens: u64,
}

/// The path of a file, in the ring buffer of paths. The bytes of the path come before this struct, so
/// that they can be written from the end.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileRecord {
    /// Number of the file.
    pub file: u64,
    /// `s_magic` of the file system.
    pub magic: u64,
    /// `i_mode` of the inode.
    pub mode: u32,
    /// Bytes of the path before this.
    pub path_len: u32,
}

/// `SOCKFS_MAGIC` of `linux/magic.h`. The "path" is then the name of a Unix socket; only its first
/// `path_len` bytes count.
pub const SOCKET_MAGIC: u64 = 0x534f_434b;

/// Longest path in a record, in bytes. Of a longer one only the end is sent, after an ellipsis.
pub const PATH_MAX: usize = 1024;

crate::offsets! {
    /// Files, and the structs that lead to them and to their paths.
    pub struct FileOffsets from 64 {
        task_files = required "task_struct"."files",
        task_fs = required "task_struct"."fs",
        files_count = required "files_struct"."count",
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
        inode_number = required "inode"."i_ino",
        file_operations = required "file"."f_op",
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
        file_space = required "file"."f_mapping",
        space_inode = required "address_space"."host",
        inode_generation = required "inode"."i_generation",
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
        request_flags = required "io_kiocb"."flags",
        request_ring = required "io_kiocb"."ctx",
        request_user_data = required "io_kiocb"."cqe.user_data",
        request_number = optional "io_kiocb"."cqe.fd",
        request_node = optional "io_kiocb"."comp_list",
        request_length = optional "io_rw"."len",
        accept_slot = optional "io_accept"."file_slot",
        ring_completed = optional "io_ring_ctx"."submit_state.compl_reqs.first",
    }
}

plain! {
    FileKey is 32 bytes;
    FileSum is 56 bytes;
    FileLast is 96 bytes;
    FileRecord is 24 bytes;
}
