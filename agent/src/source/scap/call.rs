//! What each type of event is to us, in its newest form, and where in it the parameters
//! that matter are. What is not listed is passed over.
//!
//! The result is always the first parameter.

/// A parameter's index.
pub(super) type Index = u8;

/// No such parameter.
pub(super) const NONE: Index = Index::MAX;

/// What an event is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Call {
    /// Nothing.
    #[default]
    Ignore,
    /// Bytes read from or written to a descriptor.
    Io {
        fd: Index,
        /// Addresses of both ends, where the call tells them.
        tuple: Index,
        out: bool,
        /// Control messages, in which descriptors may come.
        control: Index,
    },
    /// Bytes moved from one descriptor to another.
    Transfer { from: Index, to: Index },
    /// A file was opened.
    Open {
        /// The descriptor of the directory that the name is relative to.
        directory: Index,
        name: Index,
        flags: Index,
    },
    /// A descriptor without a name was made.
    Anonymous { name: Index, what: &'static str },
    /// A descriptor was closed.
    Close,
    /// A range of them.
    CloseRange,
    /// A descriptor was doubled; flags of the new one, where it has any.
    Dup { old: Index, flags: Index },
    /// A descriptor of another process was doubled.
    TakeDescriptor,
    /// `fcntl`, which may double a descriptor.
    Fcntl,
    /// Two ends of a pipe; flags.
    Pipe { flags: Index },
    /// A socket was made.
    Socket,
    /// Two sockets that are connected were made.
    SocketPair,
    /// A socket got an address.
    Bind,
    /// A socket was connected, or was not.
    Connect,
    /// A connection was accepted.
    Accept,
    /// A process or a thread was made.
    Clone {
        /// The parent waits for the child to exec or end.
        vfork: bool,
    },
    /// A program was started.
    Exec,
    /// A thread ended.
    Exit,
    /// The working directory changed.
    Chdir,
    /// To the one of a descriptor.
    Fchdir,
    /// The user changed; which parameter is the effective one.
    User(Index),
    /// A core went on with another thread.
    Switch,
    /// CPU time of a thread, now and then.
    ProcInfo,
    /// Sizes of a process's memory, from the second parameter on.
    Memory,
    /// A container, in the form of four parameters.
    ContainerOld,
    /// A container, as JSON.
    Container,
    /// Something told by a plugin.
    Async,
    /// From here on events were dropped, or no longer.
    Drop,
}

const fn io(fd: Index, out: bool) -> Call {
    socket_io(fd, NONE, out)
}

const fn socket_io(fd: Index, tuple: Index, out: bool) -> Call {
    Call::Io {
        fd,
        tuple,
        out,
        control: NONE,
    }
}

const fn receive(fd: Index, tuple: Index, control: Index) -> Call {
    Call::Io {
        fd,
        tuple,
        out: false,
        control,
    }
}

const fn open(directory: Index, name: Index, flags: Index) -> Call {
    Call::Open {
        directory,
        name,
        flags,
    }
}

const fn anonymous(what: &'static str) -> Call {
    Call::Anonymous { name: NONE, what }
}

impl Call {
    /// Events of calls that begin which tell a name better than those when they end, as it
    /// cannot have been changed meanwhile: `open`, `creat`, `openat`, `openat2`.
    pub(super) const ENTERS: [u16; 4] = [2, 58, 306, 326];

    /// By the number of the event's type.
    pub(super) const fn of(code: u16) -> Self {
        match code {
            // read, pread; readv, preadv; write, pwrite, writev, pwritev.
            7 | 113 => io(2, false),
            117 | 121 => io(3, false),
            9 | 115 | 119 | 123 => io(2, true),
            // send, sendto, sendmsg; sendmmsg.
            29 | 31 | 49 => socket_io(2, 4, true),
            51 => socket_io(1, 4, true),
            // recv; recvfrom; recvmsg; recvmmsg.
            33 => socket_io(2, 4, false),
            35 => socket_io(3, 2, false),
            53 => receive(5, 3, 4),
            55 => receive(1, 4, 5),
            // sendfile; splice; copy_file_range.
            189 => Self::Transfer { from: 3, to: 2 },
            167 => Self::Transfer { from: 1, to: 2 },
            333 => Self::Transfer { from: 3, to: 1 },
            // open; creat; openat; openat2; open_by_handle_at.
            3 => open(NONE, 1, 2),
            59 => open(NONE, 1, NONE),
            307 | 327 => open(1, 2, 3),
            337 => open(NONE, 3, 2),
            5 => Self::Close,
            451 => Self::CloseRange,
            // dup; dup2; dup3.
            367 | 363 => Self::Dup {
                old: 1,
                flags: NONE,
            },
            365 => Self::Dup { old: 1, flags: 3 },
            407 => Self::TakeDescriptor,
            151 => Self::Fcntl,
            // pipe; pipe2.
            61 => Self::Pipe { flags: NONE },
            393 => Self::Pipe { flags: 4 },
            19 => Self::Socket,
            43 => Self::SocketPair,
            21 => Self::Bind,
            23 => Self::Connect,
            // accept; accept4.
            247 | 389 => Self::Accept,
            63 | 397 => anonymous("eventfd"),
            375 | 377 => anonymous("eventpoll"),
            137 => anonymous("timerfd"),
            127 | 399 => anonymous("signalfd"),
            139 | 395 => anonymous("inotify"),
            321 => anonymous("userfaultfd"),
            339 => anonymous("io_uring"),
            369 => anonymous("bpf"),
            409 => anonymous("pidfd"),
            405 => Self::Anonymous {
                name: 1,
                what: "memfd",
            },
            // clone, clone3, fork and their older forms; vfork.
            15 | 157 | 183 | 217 | 219 | 223 | 225 | 335 => Self::Clone { vfork: false },
            185 | 221 | 227 => Self::Clone { vfork: true },
            293 | 331 => Self::Exec,
            186 => Self::Exit,
            95 => Self::Chdir,
            97 => Self::Fchdir,
            // setuid; setreuid, setresuid.
            199 => Self::User(1),
            193 | 427 => Self::User(2),
            // The older form of a switch tells only who is next.
            146 | 152 => Self::Switch,
            234 => Self::ProcInfo,
            // brk, mmap, mmap2, munmap.
            159 | 161 | 163 | 165 => Self::Memory,
            228 => Self::ContainerOld,
            272 | 324 => Self::Container,
            402 => Self::Async,
            148 | 149 => Self::Drop,
            _ => Self::Ignore,
        }
    }

    /// Whether it is a call of the event's own thread, which becomes known by it.
    pub(super) const fn is_of_thread(self) -> bool {
        !matches!(
            self,
            Self::Ignore
                | Self::Clone { .. }
                | Self::Exit
                | Self::Switch
                | Self::ProcInfo
                | Self::ContainerOld
                | Self::Container
                | Self::Async
                | Self::Drop
        )
    }
}
