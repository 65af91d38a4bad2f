//! Where the numbers come from: this host, or a recording.
//!
//! A live source is polled often, for what is rare and urgent (a container was made,
//! a process ended), and drained once a second, for the sums. It puts what it
//! finds into the sink, and asks [`Containers`] whose a cgroup is. What
//! was recorded is read at its own pace: see [`recording`].

pub mod ebpf;
pub mod procfs;
pub mod recording;
pub mod scap;
pub mod sysdig;

use std::os::fd::BorrowedFd;

use crate::clock::Clock;
use crate::container::Containers;
use crate::sink::Sink;

/// What a source may use beside the sink.
#[derive(Debug)]
pub struct Host<'a> {
    /// The clock by which all times are told.
    pub clock: &'a Clock,
    /// Which containers there are.
    pub containers: &'a mut Containers,
}

/// Something that counts on this host, now.
pub trait Source {
    /// The family of hooks in use: `vfs`, `syscall` or `procfs`.
    fn hooks(&self) -> &str;

    /// What it cannot count here: one sentence each.
    fn missing(&self) -> &[String];

    /// Time that its programs in the kernel ran since they were loaded, ns; 0 where it is not known.
    fn kernel_ns(&self) -> u64 {
        0
    }

    /// A descriptor that becomes readable when there is something to poll for.
    fn wake(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Takes in what is rare: called whenever [`Self::wake`] says so, and some times a second.
    fn poll<S: Sink>(&mut self, host: &mut Host<'_>, sink: &mut S);

    /// Takes in the sums up to now and charges them to the moment `at` (ns since the Unix
    /// epoch), which is within the second that has just ended.
    ///
    /// # Errors
    /// When nothing can be counted any more; the agent ends then.
    fn drain<S: Sink>(
        &mut self,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError>;
}

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct SourceError {
    /// What it tried.
    pub what: String,
    /// What came of it.
    #[source]
    pub source: std::io::Error,
}
