//! Operations of calls on descriptors, and their charging.
//!
//! Counting is sysdig's: the bytes are the call's result, and a call that moved none is no
//! operation.

use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Address, Connection, NetworkIo};

use crate::name_cache::is_name_cache;
use crate::sink::{
    ConnectionHandle, ContainerHandle, FileHandle, HANDLE_SECONDS, ProcessHandle, Sink,
};

/// Age in seconds at which a handle is asked for again: sooner than the sink forgets it.
const HANDLE_REFRESH: u64 = HANDLE_SECONDS / 2;
/// The path of a resource that is not known.
pub(crate) const UNKNOWN_PATH: &str = "(unknown)";

/// Most bytes that a call can move: the kernel's `MAX_RW_COUNT`.
const MAX_MOVED: u64 = 0x7fff_f000;

/// The resource that a descriptor stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Not known.
    Unknown,
    /// A file, a pipe, or an anonymous inode.
    File(File),
    /// A socket, with the addresses that are known so far.
    Socket(Connection),
}

/// The sink's handle of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResourceHandle {
    File(FileHandle),
    Connection(ConnectionHandle),
}

/// A handle, and the second in which the sink was asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CachedHandle {
    pub(crate) handle: ResourceHandle,
    pub(crate) second: u64,
}

/// Which way bytes go, seen from the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

/// An operation of a call on a descriptor.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Operation {
    bytes_in: u64,
    bytes_out: u64,
    ops_in: u64,
    ops_out: u64,
    /// Opened, connected or accepted.
    opens: u64,
    /// Failed to connect.
    failures: u64,
}

/// How an attempt to connect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectResult {
    /// It is connected, or goes on in the background, which ends without an event.
    Connected,
    /// Nothing happened: the caller has to repeat the call.
    Again,
    /// It failed, with this error number.
    Failed(i32),
}

/// The result of a call that moves bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// So many bytes.
    Bytes(u64),
    /// More than a call can move: the recording is damaged.
    Implausible,
    /// It failed.
    Failed,
}

impl Moved {
    /// From the result of a call.
    #[inline]
    pub(crate) fn new(result: i64) -> Self {
        match u64::try_from(result) {
            Ok(bytes @ 0..=MAX_MOVED) => Self::Bytes(bytes),
            Ok(_) => Self::Implausible,
            Err(_) => Self::Failed,
        }
    }
}

/// Reports that a value of a recording cannot be, and is not counted.
#[cold]
pub(crate) fn report_implausible<S: Sink>(
    at: u64,
    container: Option<ContainerHandle>,
    sink: &mut S,
) {
    let loss = Loss { count: 1, bytes: 0 };
    sink.loss(at, container, Reason::IMPLAUSIBLE, loss);
}

impl Resource {
    /// The sink's handle of it, in a container.
    pub(crate) fn handle<S: Sink>(
        &self,
        container: ContainerHandle,
        sink: &mut S,
    ) -> ResourceHandle {
        match self {
            Self::File(file) => ResourceHandle::File(sink.file(container, file)),
            Self::Socket(connection) => {
                ResourceHandle::Connection(sink.connection(container, connection))
            }
            Self::Unknown => {
                let file = File {
                    path: UNKNOWN_PATH.to_owned(),
                    kind: FileKind::Unknown,
                };
                ResourceHandle::File(sink.file(container, &file))
            }
        }
    }

    /// Charges an operation on it to a process. One on an unknown resource is a loss, too.
    #[inline]
    pub(crate) fn charge<S: Sink>(
        &self,
        at: u64,
        container: ContainerHandle,
        process: ProcessHandle,
        handle: ResourceHandle,
        operation: Operation,
        sink: &mut S,
    ) {
        operation.charge(at, process, handle, sink);
        if matches!(self, Self::Unknown) {
            operation.report_unknown(at, container, sink);
        }
    }
}

impl CachedHandle {
    /// Whether it can still be used in the second `now`.
    #[inline]
    pub(crate) fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.second) < HANDLE_REFRESH
    }
}

impl Operation {
    /// A file was opened, or a socket connected.
    pub(crate) const OPEN: Self = Self {
        bytes_in: 0,
        bytes_out: 0,
        ops_in: 0,
        ops_out: 0,
        opens: 1,
        failures: 0,
    };

    /// A call moved bytes.
    #[inline]
    pub(crate) fn transfer(bytes: u64, direction: Direction) -> Self {
        let mut operation = Self::default();
        match direction {
            Direction::In => (operation.bytes_in, operation.ops_in) = (bytes, 1),
            Direction::Out => (operation.bytes_out, operation.ops_out) = (bytes, 1),
        }
        operation
    }

    /// Charges it to a process.
    #[inline]
    pub(crate) fn charge<S: Sink>(
        self,
        at: u64,
        process: ProcessHandle,
        resource: ResourceHandle,
        sink: &mut S,
    ) {
        match resource {
            ResourceHandle::File(file) => sink.file_io(at, process, file, self.of_file()),
            ResourceHandle::Connection(connection) => {
                sink.network_io(at, process, connection, self.of_connection());
            }
        }
    }

    /// Reports that nothing is known of the resource.
    pub(crate) fn report_unknown<S: Sink>(self, at: u64, container: ContainerHandle, sink: &mut S) {
        let bytes = self.bytes();
        let loss = Loss { count: 1, bytes };
        sink.loss(at, Some(container), Reason::PATH_UNKNOWN, loss);
    }

    /// The bytes that it moved.
    pub(crate) fn bytes(self) -> u64 {
        self.bytes_in.saturating_add(self.bytes_out)
    }

    fn of_file(self) -> FileIo {
        FileIo {
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            ops_in: self.ops_in,
            ops_out: self.ops_out,
            opens: self.opens,
            mapped_pages: 0,
            waited: 0,
        }
    }

    fn of_connection(self) -> NetworkIo {
        NetworkIo {
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            ops_in: self.ops_in,
            ops_out: self.ops_out,
            connects: self.opens,
            failures: self.failures,
            waited: 0,
        }
    }
}

impl ConnectResult {
    /// From the result of `connect`.
    pub(crate) fn new(result: i64) -> Self {
        const IN_PROGRESS: i64 = -(libc::EINPROGRESS as i64);
        const TRY_AGAIN: i64 = -(libc::EAGAIN as i64);
        match result {
            0.. | IN_PROGRESS => Self::Connected,
            TRY_AGAIN => Self::Again,
            error => Self::Failed(i32::try_from(error.unsigned_abs()).unwrap_or(0)),
        }
    }
}

/// Charges an attempt to connect that failed with `error`.
pub(crate) fn charge_failed_connect<S: Sink>(
    at: u64,
    container: ContainerHandle,
    process: ProcessHandle,
    connection: Connection,
    error: i32,
    sink: &mut S,
) {
    if is_name_cache(&connection.peer) {
        return;
    }
    let connection = Connection {
        // The port that it was tried from says nothing.
        local: Address::None,
        ..connection
    };
    let error = std::io::Error::from_raw_os_error(error);
    let detail = format!("{}: {error}", connection.peer);
    let kind = EventKind::CONNECTION_FAILED;
    sink.event(at, container, kind, Some(process), &detail);
    let failure = Operation {
        failures: 1,
        ..Operation::default()
    };
    let handle = sink.connection(container, &connection);
    failure.charge(at, process, ResourceHandle::Connection(handle), sink);
}
