//! The types of the JSON object that `witness` prints: what the kernel itself says that each process
//! read and wrote.

use serde::{Deserialize, Serialize};

/// Bytes into a process and out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// Into the process.
    pub read: u64,
    /// Out of the process.
    pub written: u64,
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
    }
}

/// One process, from its start to its end, over all programs that it executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessedProcess {
    /// Process id on the host.
    pub pid: u32,
    /// When it started, ns since the Unix epoch. The kernel tells it in ticks of 10 ms.
    pub start_ns: u64,
    /// The arguments of its last program.
    pub args: Vec<String>,
    /// Sum of `rchar` and `wchar` of `/proc/PID/task/TID/io` over all its threads, each read after its
    /// end.
    pub io: Bytes,
    /// The part of `io` that the kernel itself read to execute programs (`__kernel_read()`).
    pub exec_read: u64,
    /// Results of calls with messages (`send`, `recv`), which are not in `io`. Calls that only peek
    /// are left out.
    pub messages: Bytes,
    /// Results of `splice`, `tee` and `vmsplice`, which are not in `io`.
    pub spliced: Bytes,
    /// Calls that submit asynchronous requests (`io_uring_enter`, `io_submit`). Their bytes are
    /// neither in `io` nor in the results of calls.
    pub submissions: u64,
}

impl WitnessedProcess {
    /// What the process moved through files and sockets.
    pub fn moved(&self) -> Bytes {
        let mut sum = self.io;
        sum.read = sum.read.saturating_sub(self.exec_read);
        sum += self.messages;
        sum += self.spliced;
        sum
    }
}

/// The output of `witness`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessed {
    /// All processes, in the order of their ends.
    pub processes: Vec<WitnessedProcess>,
    /// Exit code of the program that `witness` started. From 128 on it is a signal.
    pub exit_code: i32,
}
