//! Files, and what processes read from and wrote to them.

use super::cell::value;
use super::process::OTHER;

/// A file by its path as the container sees it: a row of the dictionary of files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File {
    /// The path. For pipes and anonymous inodes the kernel's name without numbers.
    pub path: String,
    /// Its kind.
    pub kind: FileKind,
}

/// Kind of a file: what a descriptor refers to, sockets apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum FileKind {
    /// Not known.
    #[default]
    Unknown = 0,
    /// A regular file.
    Regular = 1,
    /// A directory.
    Directory = 2,
    /// A pipe or FIFO.
    Pipe = 3,
    /// A character device, such as a terminal.
    CharDevice = 4,
    /// A block device.
    BlockDevice = 5,
    /// An anonymous inode: eventfd, timerfd, epoll, …
    Anonymous = 6,
    /// The folded files beyond a cap.
    Other = 7,
}

impl FileKind {
    /// The kind with the number `n` on the wire.
    pub const fn from_u8(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Unknown,
            1 => Self::Regular,
            2 => Self::Directory,
            3 => Self::Pipe,
            4 => Self::CharDevice,
            5 => Self::BlockDevice,
            6 => Self::Anonymous,
            7 => Self::Other,
            _ => return None,
        })
    }

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Regular => "file",
            Self::Directory => "directory",
            Self::Pipe => "pipe",
            Self::CharDevice => "char",
            Self::BlockDevice => "block",
            Self::Anonymous => "anonymous",
            Self::Other => "other",
        }
    }
}

impl File {
    /// The row that stands for the files beyond the cap.
    pub fn other() -> Self {
        Self {
            path: OTHER.to_owned(),
            kind: FileKind::Other,
        }
    }
}

/// What one process did with one file in a slot. "In" means into the process: read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileIo {
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Calls that read at least one byte or reached the end.
    pub ops_in: u64,
    /// Calls that wrote.
    pub ops_out: u64,
    /// Number of times it was opened.
    pub opens: u64,
    /// Pages of its mappings that a page fault brought in (`mm_filemap_fault`, in Linux 6.12 and later).
    pub mapped_pages: u64,
    /// Time that threads waited for it, summed over threads, in [`super::wait::UNIT`]s. It is part of the
    /// waits for disks of the process. 0 where no source counts it.
    pub waited: u64,
}
value!(FileIo {
    bytes_in: add,
    bytes_out: add,
    ops_in: add,
    ops_out: add,
    opens: add;
    since version 2: mapped_pages: add, waited: add
} [(0, 2), (1, 3), (4, 2)]);
