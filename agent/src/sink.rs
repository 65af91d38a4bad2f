//! Where every source puts what it found out.
//!
//! A source (eBPF, a capture, procfs) knows nothing of segments; the window,
//! which is the sink that makes them, knows nothing of kernels or captures.
//! Calls are static and name things by handles that the sink gave, so that a
//! source can make ten million of them a second without an allocation.
//!
//! Times are nanoseconds since the Unix epoch. Counts are what happened since
//! the last call, never running totals.

use bubble_common::segment::ContainerId;
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::process::{Memory, Process};
use bubble_common::segment::total::Metric;

/// A container, as the sink numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerHandle(pub u32);

/// A process (one row: see [`Process`]) of a container, as the sink numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessHandle(pub u32);

/// A file of a container, as the sink numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileHandle(pub u32);

/// A connection of a container, as the sink numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionHandle(pub u32);

/// How many seconds a handle of a file or a connection is good for after it was
/// last asked for or used. Nobody says when a path is no longer of interest, and
/// a container that opens a million must not fill the memory, so these end by
/// age: a source that keeps one longer asks for it again.
pub const HANDLE_SECONDS: u64 = 30;

/// Takes what a source found out. Handles of containers and processes stay good
/// until they are released, those of files and connections for
/// [`HANDLE_SECONDS`]; a call with a handle that is not good does nothing.
pub trait Sink {
    /// The handle of a container; the same for the same id.
    fn container(&mut self, id: &ContainerId) -> ContainerHandle;

    /// Notes a fact about a container (names: `bubble_common::segment::facts`).
    fn fact(&mut self, container: ContainerHandle, name: &str, value: &str);

    /// The handle of a process; the same for the same identity. Called again
    /// when more is known of it (its arguments, its exit).
    fn process(&mut self, container: ContainerHandle, process: &Process) -> ProcessHandle;

    /// The handle of a file; the same for the same path and kind.
    fn file(&mut self, container: ContainerHandle, file: &File) -> FileHandle;

    /// The handle of a connection; the same for the same protocol and addresses.
    fn connection(
        &mut self,
        container: ContainerHandle,
        connection: &Connection,
    ) -> ConnectionHandle;

    /// A process used `ns` of CPU time on `core`.
    fn cpu(&mut self, at: u64, process: ProcessHandle, core: u32, ns: u64);

    /// CPU time as [`Self::cpu`] has it, of a thread whose end was told before: what it used from
    /// when it last got the core. Readers of captures that forget a thread with its end leave
    /// it out, so that a sink which is to compare with them can tell it apart.
    fn last_cpu(&mut self, at: u64, process: ProcessHandle, core: u32, ns: u64) {
        self.cpu(at, process, core, ns);
    }

    /// A process's memory, read at `at`.
    fn memory(&mut self, at: u64, process: ProcessHandle, memory: Memory);

    /// A process did something with a file.
    fn file_io(&mut self, at: u64, process: ProcessHandle, file: FileHandle, io: FileIo);

    /// A process did something with a connection.
    fn network_io(
        &mut self,
        at: u64,
        process: ProcessHandle,
        connection: ConnectionHandle,
        io: NetworkIo,
    );

    /// A figure of the container: what was counted since the last call, or what was measured.
    fn total(&mut self, at: u64, container: ContainerHandle, metric: Metric, value: u64);

    /// Something happened in a container.
    fn event(
        &mut self,
        at: u64,
        container: ContainerHandle,
        kind: EventKind,
        process: Option<ProcessHandle>,
        detail: &str,
    );

    /// Something was lost; without a container when it is not known whose it was.
    fn loss(&mut self, at: u64, container: Option<ContainerHandle>, reason: Reason, loss: Loss);

    /// The container was observed at `at`, whether or not it did anything: the
    /// slot is not a gap.
    fn alive(&mut self, at: u64, container: ContainerHandle);

    /// The process has ended and will not be named again.
    fn release_process(&mut self, process: ProcessHandle);

    /// The container has ended and neither it nor what was in it will be named again.
    fn release_container(&mut self, container: ContainerHandle);

    /// Nothing that happened before `now` will come any more: seconds that
    /// ended by then are complete.
    fn advance(&mut self, now: u64);
}
