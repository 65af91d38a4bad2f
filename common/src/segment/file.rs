//! Files: which, and what was read from and written to them.

use super::cell::value;
use super::process::OTHER;

/// A file by its path as the container sees it: a row of the dictionary of files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File {
    /// The path; for pipes and anonymous inodes what the kernel calls them, without numbers.
    pub path: String,
    /// What kind of thing it is.
    pub kind: FileKind,
}

/// What a descriptor that is not a socket refers to.
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
    /// A character device, a terminal among them.
    CharDevice = 4,
    /// A block device.
    BlockDevice = 5,
    /// An anonymous inode: eventfd, timerfd, epoll, …
    Anonymous = 6,
    /// What exceeds a cap, folded.
    Other = 7,
}

impl FileKind {
    /// The kind with this number on the wire.
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
    /// The row into which the files beyond the cap are folded.
    pub fn other() -> Self {
        Self {
            path: OTHER.to_owned(),
            kind: FileKind::Other,
        }
    }
}

/// What one process did with one file in a slot. "In" is into the process: read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileIo {
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Calls that read at least one byte or met the end.
    pub ops_in: u64,
    /// Calls that wrote.
    pub ops_out: u64,
    /// Times it was opened.
    pub opens: u64,
}
value!(FileIo {
    bytes_in: add,
    bytes_out: add,
    ops_in: add,
    ops_out: add,
    opens: add
});
