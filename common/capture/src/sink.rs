//! The sink: the interface through which every source reports.
//!
//! A source (eBPF, a capture, procfs) knows nothing of segments. The window, the sink that makes
//! them, knows nothing of kernels or captures. Dispatch is static, and objects are named by the
//! sink's handles, so a source can make ten million calls a second without an allocation.
//!
//! Times are nanoseconds since the Unix epoch. Counts are differences since the last call, never
//! running totals.

use bubble_common::segment::ContainerId;
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::process::{Memory, Process};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::KINDS;

/// The sink's number of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerHandle(pub u32);

/// The sink's number of a process (one row: see [`Process`]) of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessHandle(pub u32);

/// The sink's number of a file of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileHandle(pub u32);

/// The sink's number of a connection of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionHandle(pub u32);

/// Seconds that a handle of a file or a connection stays valid after its last use.
///
/// No event says that a path is no longer needed, and a container that opens a million files
/// must not fill the memory, so these handles expire. A source gets an expired one again.
pub const HANDLE_SECONDS: u64 = 30;

/// Receives what a source counts.
///
/// Handles of containers and processes are valid until they are released, those of files and
/// connections for [`HANDLE_SECONDS`]. A call with an invalid handle does nothing.
pub trait Sink {
    /// The handle of a container. Equal ids have equal handles.
    fn container(&mut self, id: &ContainerId) -> ContainerHandle;

    /// Notes a fact about a container (names: `bubble_common::segment::facts`). An empty value
    /// removes it.
    fn fact(&mut self, container: ContainerHandle, name: &str, value: &str);

    /// The handle of a process. Equal identities have equal handles. Called again when more is
    /// known of it (its arguments, its exit).
    fn process(&mut self, container: ContainerHandle, process: &Process) -> ProcessHandle;

    /// The handle of a file. Equal paths and kinds have equal handles.
    fn file(&mut self, container: ContainerHandle, file: &File) -> FileHandle;

    /// The handle of a connection. Equal protocols and addresses have equal handles.
    fn connection(
        &mut self,
        container: ContainerHandle,
        connection: &Connection,
    ) -> ConnectionHandle;

    /// A process used `ns` of CPU time on `core`.
    fn cpu(&mut self, at: u64, process: ProcessHandle, core: u32, ns: u64);

    /// CPU time of a thread after its exit event: from the last switch to it. Reports it as
    /// [`Self::cpu`], unless a sink is compared with readers of captures that drop this time.
    fn last_cpu(&mut self, at: u64, process: ProcessHandle, core: u32, ns: u64) {
        self.cpu(at, process, core, ns);
    }

    /// Time that the threads of a process did not run, ns, by kind of wait
    /// (`bubble_common::segment::wait::NAMES`).
    fn waits(&mut self, at: u64, process: ProcessHandle, ns: [u64; KINDS]);

    /// Memory of a process, read at `at`.
    fn memory(&mut self, at: u64, process: ProcessHandle, memory: Memory);

    /// I/O of a process on a file.
    fn file_io(&mut self, at: u64, process: ProcessHandle, file: FileHandle, io: FileIo);

    /// I/O of a process on a connection.
    fn network_io(
        &mut self,
        at: u64,
        process: ProcessHandle,
        connection: ConnectionHandle,
        io: NetworkIo,
    );

    /// Threads of a process waited `ns` for a file. It is part of its waits for disks ([`Self::waits`]).
    fn file_wait(&mut self, at: u64, process: ProcessHandle, file: FileHandle, ns: u64);

    /// Threads of a process waited `ns` for a connection. It is part of its waits for sockets.
    fn connection_wait(
        &mut self,
        at: u64,
        process: ProcessHandle,
        connection: ConnectionHandle,
        ns: u64,
    );

    /// A figure of the container: a count since the last call, or a measurement.
    fn total(&mut self, at: u64, container: ContainerHandle, metric: Metric, value: u64);

    /// An event in a container.
    fn event(
        &mut self,
        at: u64,
        container: ContainerHandle,
        kind: EventKind,
        process: Option<ProcessHandle>,
        detail: &str,
    );

    /// A loss. `None`: its container is not known.
    fn loss(&mut self, at: u64, container: Option<ContainerHandle>, reason: Reason, loss: Loss);

    /// The container was observed at `at`, active or not: the slot is not a gap.
    fn alive(&mut self, at: u64, container: ContainerHandle);

    /// Releases a handle: no later call names the process.
    fn release_process(&mut self, process: ProcessHandle);

    /// Releases a handle: no later call names the container or its processes.
    fn release_container(&mut self, container: ContainerHandle);

    /// A section of a recording begins at `at`. It may be earlier than what came before: then it
    /// counts as another source. Sources of one section do not call it.
    fn begin_section(&mut self, _at: u64) {}

    /// No later call is about a moment before `now`: seconds that ended by then are complete.
    fn advance(&mut self, now: u64);
}
