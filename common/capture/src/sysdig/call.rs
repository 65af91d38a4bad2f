//! The events of sysdig that are counted, by meaning. All others advance the time only.

/// The meaning of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Bytes came in through `fd`.
    In,
    /// Bytes went out through `fd`.
    Out,
    /// Bytes went from one descriptor to another; the names of the two arguments.
    Copy {
        /// The one that is read.
        from: &'static str,
        /// The one that is written.
        to: &'static str,
    },
    /// A file was opened.
    Open,
    /// A socket was made.
    Socket,
    /// A socket got an address.
    Bind,
    /// A socket was connected.
    Connect,
    /// A connection was accepted.
    Accept,
    /// A descriptor was closed.
    Close,
    /// A process or thread was made.
    Fork,
    /// A process runs another program.
    Exec,
    /// A thread ended.
    Exit,
    /// A core switched from one thread to another.
    Switch,
    /// The size of a process changed.
    Memory,
}

impl Call {
    /// The meaning of an event, by its name.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"read" | b"readv" | b"pread" | b"pread64" | b"preadv" | b"recv" | b"recvfrom"
            | b"recvmsg" | b"recvmmsg" => Self::In,
            b"write" | b"writev" | b"pwrite" | b"pwrite64" | b"pwritev" | b"send" | b"sendto"
            | b"sendmsg" | b"sendmmsg" => Self::Out,
            b"sendfile" => Self::Copy {
                from: "in_fd",
                to: "out_fd",
            },
            b"splice" => Self::Copy {
                from: "fd_in",
                to: "fd_out",
            },
            b"copy_file_range" => Self::Copy {
                from: "fdin",
                to: "fdout",
            },
            b"open" | b"openat" | b"openat2" | b"creat" | b"open_by_handle_at" => Self::Open,
            b"socket" => Self::Socket,
            b"bind" => Self::Bind,
            b"connect" => Self::Connect,
            b"accept" | b"accept4" => Self::Accept,
            b"close" => Self::Close,
            b"clone" | b"clone3" | b"fork" | b"vfork" => Self::Fork,
            b"execve" | b"execveat" => Self::Exec,
            b"procexit" => Self::Exit,
            b"switch" => Self::Switch,
            b"mmap" | b"mmap2" | b"munmap" | b"brk" => Self::Memory,
            _ => return None,
        })
    }
}
