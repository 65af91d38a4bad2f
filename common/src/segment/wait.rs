//! Time that the threads of a process did not run, by what they waited for.

use super::cell::value;

/// Length of the unit of [`Waits`] in nanoseconds: a tenth of a millisecond.
pub const UNIT: u64 = 100_000;

/// Waits of a process in a slot, in tenths of a millisecond, summed over its threads.
///
/// With the CPU time they are the time budget: running and waiting together are the number of threads
/// times the time. A coarse unit, as most waits are noise to the microsecond, which no codec shortens.
/// Whoever rounds carries the rest to the next slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waits {
    /// For a core, although it could run. This includes the time that a CPU limit held it back.
    pub core: u64,
    /// For files and their metadata, on a disk or over a network file system.
    pub disk: u64,
    /// For a socket: to connect, accept, send or receive.
    pub network: u64,
    /// For another thread or process: a futex (mutex, condition, join), a file lock, a semaphore.
    pub lock: u64,
    /// For one of several events (`poll`, `select`, `epoll`, io_uring), a signal or a timer.
    pub events: u64,
    /// For a child process.
    pub child: u64,
    /// For nothing but time (`nanosleep`).
    pub sleep: u64,
    /// For the other end of a pipe or message queue.
    pub pipe: u64,
    /// For nobody: it was stopped by a signal or a debugger, or frozen.
    pub stopped: u64,
    /// For anything else, such as a terminal or a device.
    pub other: u64,
}
value!(Waits {
    core: add,
    disk: add,
    network: add,
    lock: add,
    events: add,
    child: add,
    sleep: add,
    pipe: add,
    stopped: add,
    other: add,
});

/// Number of kinds of waits.
pub const KINDS: usize = 10;

/// Names of the kinds in the API, in the order of the columns.
pub const NAMES: [&str; KINDS] = [
    "core", "disk", "network", "lock", "events", "child", "sleep", "pipe", "stopped", "other",
];

impl Waits {
    /// The waits of each kind, in the order of the columns.
    pub const fn columns(&self) -> [u64; KINDS] {
        [
            self.core,
            self.disk,
            self.network,
            self.lock,
            self.events,
            self.child,
            self.sleep,
            self.pipe,
            self.stopped,
            self.other,
        ]
    }

    /// Waits with these columns.
    pub const fn of_columns(columns: [u64; KINDS]) -> Self {
        let [
            core,
            disk,
            network,
            lock,
            events,
            child,
            sleep,
            pipe,
            stopped,
            other,
        ] = columns;
        Self {
            core,
            disk,
            network,
            lock,
            events,
            child,
            sleep,
            pipe,
            stopped,
            other,
        }
    }

    /// Sum of all waits.
    pub fn sum(&self) -> u64 {
        self.columns()
            .iter()
            .fold(0, |sum, wait| sum.saturating_add(*wait))
    }
}
