//! The meaning of each type of event in its newest form, and the indices of the parameters
//! that matter. The result is always the first parameter.

use super::event_type::EventType::{
    self, ASYNCEVENT_E, CONTAINER_E, CONTAINER_JSON_2_E, CONTAINER_JSON_E, DROP_E, DROP_X,
    PROCEXIT_1_E, PROCINFO_E, SCHEDSWITCH_1_E, SCHEDSWITCH_6_E, SOCKET_ACCEPT_5_X,
    SOCKET_ACCEPT4_6_X, SOCKET_BIND_X, SOCKET_CONNECT_X, SOCKET_RECV_X, SOCKET_RECVFROM_X,
    SOCKET_RECVMMSG_X, SOCKET_RECVMSG_X, SOCKET_SEND_X, SOCKET_SENDMMSG_X, SOCKET_SENDMSG_X,
    SOCKET_SENDTO_X, SOCKET_SOCKET_X, SOCKET_SOCKETPAIR_X, SYSCALL_BPF_2_X, SYSCALL_BRK_4_X,
    SYSCALL_CHDIR_X, SYSCALL_CLONE_11_X, SYSCALL_CLONE_16_X, SYSCALL_CLONE_17_X,
    SYSCALL_CLONE_20_X, SYSCALL_CLONE3_X, SYSCALL_CLOSE_RANGE_X, SYSCALL_CLOSE_X,
    SYSCALL_COPY_FILE_RANGE_X, SYSCALL_CREAT_E, SYSCALL_CREAT_X, SYSCALL_DUP_1_X, SYSCALL_DUP2_X,
    SYSCALL_DUP3_X, SYSCALL_EPOLL_CREATE_X, SYSCALL_EPOLL_CREATE1_X, SYSCALL_EVENTFD_X,
    SYSCALL_EVENTFD2_X, SYSCALL_EXECVE_19_X, SYSCALL_EXECVEAT_X, SYSCALL_FCHDIR_X, SYSCALL_FCNTL_X,
    SYSCALL_FORK_17_X, SYSCALL_FORK_20_X, SYSCALL_FORK_X, SYSCALL_INOTIFY_INIT_X,
    SYSCALL_INOTIFY_INIT1_X, SYSCALL_IO_URING_SETUP_X, SYSCALL_MEMFD_CREATE_X, SYSCALL_MMAP_X,
    SYSCALL_MMAP2_X, SYSCALL_MUNMAP_X, SYSCALL_OPEN_BY_HANDLE_AT_X, SYSCALL_OPEN_E, SYSCALL_OPEN_X,
    SYSCALL_OPENAT_2_E, SYSCALL_OPENAT_2_X, SYSCALL_OPENAT2_E, SYSCALL_OPENAT2_X,
    SYSCALL_PIDFD_GETFD_X, SYSCALL_PIDFD_OPEN_X, SYSCALL_PIPE_X, SYSCALL_PIPE2_X, SYSCALL_PREAD_X,
    SYSCALL_PREADV_X, SYSCALL_PWRITE_X, SYSCALL_PWRITEV_X, SYSCALL_READ_X, SYSCALL_READV_X,
    SYSCALL_SENDFILE_X, SYSCALL_SETGID_X, SYSCALL_SETREGID_X, SYSCALL_SETRESGID_X,
    SYSCALL_SETRESUID_X, SYSCALL_SETREUID_X, SYSCALL_SETUID_X, SYSCALL_SIGNALFD_X,
    SYSCALL_SIGNALFD4_X, SYSCALL_SPLICE_X, SYSCALL_TIMERFD_CREATE_X, SYSCALL_USERFAULTFD_X,
    SYSCALL_VFORK_17_X, SYSCALL_VFORK_20_X, SYSCALL_VFORK_X, SYSCALL_WRITE_X, SYSCALL_WRITEV_X,
};
use crate::recording::io::Direction;

/// A parameter's index.
pub(super) type Index = u8;

/// No such parameter.
pub(super) const NONE: Index = Index::MAX;

/// The meaning of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Call {
    /// Nothing that is counted.
    #[default]
    Ignore,
    /// Bytes went in or out through a descriptor.
    Io(IoParams),
    /// Bytes went from one descriptor to another.
    Transfer { from: Index, to: Index },
    /// A file was opened.
    Open(OpenParams),
    /// A descriptor without a path was made.
    Anonymous { name: Index, kind: &'static str },
    /// A descriptor was closed.
    Close,
    /// A range of descriptors was closed.
    CloseRange,
    /// A descriptor was duplicated; flags of the new one, where it has any.
    Dup { old: Index, flags: Index },
    /// A descriptor of another process was duplicated.
    PidfdGetfd,
    /// `fcntl`, which may duplicate a descriptor.
    Fcntl,
    /// The two ends of a pipe were made.
    Pipe { flags: Index },
    /// A socket was made.
    Socket,
    /// Two connected sockets were made.
    SocketPair,
    /// A socket got an address.
    Bind,
    /// A socket was connected, or the attempt failed.
    Connect,
    /// A connection was accepted.
    Accept,
    /// A process or a thread was made.
    Clone {
        /// The parent waits for the child's exec or end.
        vfork: bool,
    },
    /// A process runs another program.
    Exec,
    /// A thread ended.
    Exit,
    /// The working directory changed.
    Chdir,
    /// The working directory became that of a descriptor.
    Fchdir,
    /// The user changed; the parameter with the effective one.
    SetUser(Index),
    /// The group changed; the parameter with the effective one.
    SetGroup(Index),
    /// A core switched to another thread.
    Switch,
    /// A sample of a thread's CPU time.
    ProcInfo,
    /// Sizes of a process's memory, from the second parameter on.
    Memory,
    /// Facts of a container, in four parameters.
    ContainerOld,
    /// Facts of a container, as JSON.
    Container,
    /// An event of a plugin.
    Async,
    /// Events are dropped from here on, or no longer.
    Drop,
}

/// The parameters of a call that moves bytes through a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IoParams {
    pub(super) fd: Index,
    /// Addresses of both ends, where the call has them.
    pub(super) tuple: Index,
    /// Control messages, in which descriptors may come.
    pub(super) control: Index,
    pub(super) direction: Direction,
}

/// The parameters of a call that opens a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenParams {
    /// The descriptor of the directory that the name is relative to.
    pub(super) directory: Index,
    pub(super) name: Index,
    pub(super) flags: Index,
}

const fn io(fd: Index, direction: Direction) -> Call {
    socket_io(fd, NONE, direction)
}

const fn socket_io(fd: Index, tuple: Index, direction: Direction) -> Call {
    Call::Io(IoParams {
        fd,
        tuple,
        control: NONE,
        direction,
    })
}

const fn receive(fd: Index, tuple: Index, control: Index) -> Call {
    Call::Io(IoParams {
        fd,
        tuple,
        control,
        direction: Direction::In,
    })
}

const fn open(directory: Index, name: Index, flags: Index) -> Call {
    Call::Open(OpenParams {
        directory,
        name,
        flags,
    })
}

const fn anonymous(kind: &'static str) -> Call {
    Call::Anonymous { name: NONE, kind }
}

impl Call {
    /// Events at the beginning of calls that have a better name than those at the end, as
    /// nobody can have changed it meanwhile.
    pub(super) const NAMING_ENTERS: [EventType; 4] = [
        SYSCALL_OPEN_E,
        SYSCALL_CREAT_E,
        SYSCALL_OPENAT_2_E,
        SYSCALL_OPENAT2_E,
    ];

    /// The meaning of an event in its newest form.
    pub(super) fn of(event_type: EventType) -> Self {
        let call = Self::io(event_type);
        let call = call.or_else(|| Self::new_descriptor(event_type));
        let call = call.or_else(|| Self::of_descriptor(event_type));
        call.or_else(|| Self::other(event_type)).unwrap_or_default()
    }

    /// Calls that move bytes.
    const fn io(event_type: EventType) -> Option<Self> {
        Some(match event_type {
            SYSCALL_READ_X | SYSCALL_PREAD_X => io(2, Direction::In),
            SYSCALL_READV_X | SYSCALL_PREADV_X => io(3, Direction::In),
            SYSCALL_WRITE_X | SYSCALL_PWRITE_X | SYSCALL_WRITEV_X | SYSCALL_PWRITEV_X => {
                io(2, Direction::Out)
            }
            SOCKET_SEND_X | SOCKET_SENDTO_X | SOCKET_SENDMSG_X => socket_io(2, 4, Direction::Out),
            SOCKET_SENDMMSG_X => socket_io(1, 4, Direction::Out),
            SOCKET_RECV_X => socket_io(2, 4, Direction::In),
            SOCKET_RECVFROM_X => socket_io(3, 2, Direction::In),
            SOCKET_RECVMSG_X => receive(5, 3, 4),
            SOCKET_RECVMMSG_X => receive(1, 4, 5),
            SYSCALL_SENDFILE_X => Self::Transfer { from: 3, to: 2 },
            SYSCALL_SPLICE_X => Self::Transfer { from: 1, to: 2 },
            SYSCALL_COPY_FILE_RANGE_X => Self::Transfer { from: 3, to: 1 },
            _ => return None,
        })
    }

    /// Calls that make a descriptor of a file or without a name.
    const fn new_descriptor(event_type: EventType) -> Option<Self> {
        Some(match event_type {
            SYSCALL_OPEN_X => open(NONE, 1, 2),
            SYSCALL_CREAT_X => open(NONE, 1, NONE),
            SYSCALL_OPENAT_2_X | SYSCALL_OPENAT2_X => open(1, 2, 3),
            SYSCALL_OPEN_BY_HANDLE_AT_X => open(NONE, 3, 2),
            SYSCALL_PIPE_X => Self::Pipe { flags: NONE },
            SYSCALL_PIPE2_X => Self::Pipe { flags: 4 },
            SYSCALL_EVENTFD_X | SYSCALL_EVENTFD2_X => anonymous("eventfd"),
            SYSCALL_EPOLL_CREATE_X | SYSCALL_EPOLL_CREATE1_X => anonymous("eventpoll"),
            SYSCALL_TIMERFD_CREATE_X => anonymous("timerfd"),
            SYSCALL_SIGNALFD_X | SYSCALL_SIGNALFD4_X => anonymous("signalfd"),
            SYSCALL_INOTIFY_INIT_X | SYSCALL_INOTIFY_INIT1_X => anonymous("inotify"),
            SYSCALL_USERFAULTFD_X => anonymous("userfaultfd"),
            SYSCALL_IO_URING_SETUP_X => anonymous("io_uring"),
            SYSCALL_BPF_2_X => anonymous("bpf"),
            SYSCALL_PIDFD_OPEN_X => anonymous("pidfd"),
            SYSCALL_MEMFD_CREATE_X => Self::Anonymous {
                name: 1,
                kind: "memfd",
            },
            _ => return None,
        })
    }

    /// Calls that copy, change or close descriptors, and those of sockets.
    const fn of_descriptor(event_type: EventType) -> Option<Self> {
        Some(match event_type {
            SYSCALL_CLOSE_X => Self::Close,
            SYSCALL_CLOSE_RANGE_X => Self::CloseRange,
            SYSCALL_DUP_1_X | SYSCALL_DUP2_X => Self::Dup {
                old: 1,
                flags: NONE,
            },
            SYSCALL_DUP3_X => Self::Dup { old: 1, flags: 3 },
            SYSCALL_PIDFD_GETFD_X => Self::PidfdGetfd,
            SYSCALL_FCNTL_X => Self::Fcntl,
            SOCKET_SOCKET_X => Self::Socket,
            SOCKET_SOCKETPAIR_X => Self::SocketPair,
            SOCKET_BIND_X => Self::Bind,
            SOCKET_CONNECT_X => Self::Connect,
            SOCKET_ACCEPT_5_X | SOCKET_ACCEPT4_6_X => Self::Accept,
            _ => return None,
        })
    }

    /// Processes, cores, containers, and the capture itself.
    const fn other(event_type: EventType) -> Option<Self> {
        Some(match event_type {
            SYSCALL_CLONE_11_X | SYSCALL_CLONE_16_X | SYSCALL_CLONE_17_X | SYSCALL_CLONE_20_X
            | SYSCALL_CLONE3_X | SYSCALL_FORK_X | SYSCALL_FORK_17_X | SYSCALL_FORK_20_X => {
                Self::Clone { vfork: false }
            }
            SYSCALL_VFORK_X | SYSCALL_VFORK_17_X | SYSCALL_VFORK_20_X => {
                Self::Clone { vfork: true }
            }
            SYSCALL_EXECVE_19_X | SYSCALL_EXECVEAT_X => Self::Exec,
            PROCEXIT_1_E => Self::Exit,
            SYSCALL_CHDIR_X => Self::Chdir,
            SYSCALL_FCHDIR_X => Self::Fchdir,
            SYSCALL_SETUID_X => Self::SetUser(1),
            SYSCALL_SETREUID_X | SYSCALL_SETRESUID_X => Self::SetUser(2),
            SYSCALL_SETGID_X => Self::SetGroup(1),
            SYSCALL_SETREGID_X | SYSCALL_SETRESGID_X => Self::SetGroup(2),
            // The older form has the next thread only.
            SCHEDSWITCH_1_E | SCHEDSWITCH_6_E => Self::Switch,
            PROCINFO_E => Self::ProcInfo,
            SYSCALL_BRK_4_X | SYSCALL_MMAP_X | SYSCALL_MMAP2_X | SYSCALL_MUNMAP_X => Self::Memory,
            CONTAINER_E => Self::ContainerOld,
            CONTAINER_JSON_E | CONTAINER_JSON_2_E => Self::Container,
            ASYNCEVENT_E => Self::Async,
            DROP_E | DROP_X => Self::Drop,
            _ => return None,
        })
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
