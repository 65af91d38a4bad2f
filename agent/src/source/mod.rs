//! Sources: where the numbers come from, this host or a recording.
//!
//! A live source is polled often, for rare and urgent events (a container was created, a process
//! ended), and drained once a second, for the sums. It reports to the sink and asks
//! [`Containers`] for the container of a cgroup. Recordings are read at their own pace: see
//! [`recording`].

pub mod ebpf;
pub mod procfs;

use std::os::fd::BorrowedFd;

pub use bubble_capture::{recording, scap, sysdig};

use crate::clock::Clock;
use crate::container::Containers;
use crate::journal::Journal;
use crate::sink::Sink;

/// What a source uses besides the sink.
#[derive(Debug)]
pub struct Host<'a> {
    /// Converts all times.
    pub clock: &'a Clock,
    /// The containers of the host.
    pub containers: &'a mut Containers,
}

/// A source that counts on this host, now.
pub trait Source {
    /// The family of hooks in use: `vfs`, `syscall` or `procfs`.
    fn hooks(&self) -> &str;

    /// What it cannot count here, one sentence each.
    fn missing(&self) -> &[String];

    /// Time that its programs ran in the kernel since they were loaded, ns. 0: not known.
    fn kernel_ns(&self) -> u64 {
        0
    }

    /// A descriptor that becomes readable when a poll has something to do.
    fn wake(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Takes in rare events. Called when [`Self::wake`] is readable, and some times a second.
    fn poll<S: Sink>(&mut self, host: &mut Host<'_>, sink: &mut S);

    /// Reports the sums up to now, charged to the moment `at` (ns since the Unix epoch) in the
    /// second that has just ended.
    ///
    /// # Errors
    /// When the source cannot count any more. The agent ends then.
    fn drain<S: Sink>(
        &mut self,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError>;

    /// What it notes for the next run. `None`: it counts only while it runs.
    ///
    /// A source with a journal is drained when [`Journal::is_ready`] says so; otherwise a kill may lose
    /// what was drained before.
    fn journal(&mut self) -> Option<&mut Journal> {
        None
    }

    /// Reports the sums that [`Journal::unspooled`] is about once more, charged to the moment `at`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn drain_again<S: Sink>(
        &mut self,
        _at: u64,
        _host: &mut Host<'_>,
        _sink: &mut S,
    ) -> Result<(), SourceError> {
        Ok(())
    }
}

/// Why a source cannot continue.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct SourceError {
    /// What failed.
    pub what: String,
    /// The cause.
    #[source]
    pub source: std::io::Error,
}
