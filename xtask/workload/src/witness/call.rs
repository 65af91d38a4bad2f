//! The system calls that a traced process stops at, and what each moved.

use bubble_workload::witnessed::{Bytes, WitnessedProcess};

use super::proc;
use super::ptrace::Entry;

/// What a call does to the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The kernel reads the program's file, and adds to `rchar`.
    Exec,
    /// Sends or receives the number of bytes that it returns.
    Send,
    Receive,
    /// Sends or receives the number of messages that it returns.
    SendMany,
    ReceiveMany,
    /// Out of one file and into another.
    Splice,
    /// Into a pipe, without consuming from the other.
    Tee,
    /// Between memory and a pipe.
    Vmsplice,
    /// Submits asynchronous requests.
    Submit,
}

/// The calls, by number.
pub(super) const CALLS: [(libc::c_long, Kind); 13] = [
    (libc::SYS_execve, Kind::Exec),
    (libc::SYS_execveat, Kind::Exec),
    (libc::SYS_sendto, Kind::Send),
    (libc::SYS_sendmsg, Kind::Send),
    (libc::SYS_sendmmsg, Kind::SendMany),
    (libc::SYS_recvfrom, Kind::Receive),
    (libc::SYS_recvmsg, Kind::Receive),
    (libc::SYS_recvmmsg, Kind::ReceiveMany),
    (libc::SYS_splice, Kind::Splice),
    (libc::SYS_tee, Kind::Tee),
    (libc::SYS_vmsplice, Kind::Vmsplice),
    (libc::SYS_io_uring_enter, Kind::Submit),
    (libc::SYS_io_submit, Kind::Submit),
];

/// `MSG_PEEK` and `MSG_ERRQUEUE`: the call consumes nothing of the socket's data.
const PEEK_FLAGS: u64 = libc::MSG_PEEK as u64 | libc::MSG_ERRQUEUE as u64;

/// A call that a thread is in.
#[derive(Clone, Debug)]
pub(super) struct Call {
    kind: Kind,
    entry: Entry,
    /// The thread's `rchar` at the beginning.
    pub(super) before: u64,
}

impl Call {
    /// The call at its beginning. `None` for one that is not in the table.
    pub(super) fn begin(entry: Entry, before: u64) -> Option<Self> {
        let number = entry.number as libc::c_long;
        let (_, kind) = CALLS.iter().find(|(known, _)| *known == number)?;
        Some(Self {
            kind: *kind,
            entry,
            before,
        })
    }

    pub(super) fn is_exec(&self) -> bool {
        self.kind == Kind::Exec
    }

    /// Adds what the call of thread `thread` moved, when it has ended with `result`.
    pub(super) fn end(&self, process: &mut WitnessedProcess, thread: u32, result: i64) {
        if self.is_exec() {
            let after = proc::thread_io(process.pid, thread).map_or(0, |io| io.read);
            process.exec_read += after.saturating_sub(self.before);
            if result == 0 {
                process.args = proc::args(process.pid);
            }
            return;
        }
        let Ok(result) = u64::try_from(result) else {
            return;
        };
        let arguments = &self.entry.arguments;
        let (read, written) = match self.kind {
            Kind::Exec => (0, 0),
            Kind::Send => (0, result),
            Kind::Receive if self.peeks() => (0, 0),
            Kind::Receive => (result, 0),
            Kind::SendMany => (0, proc::message_lengths(thread, arguments[1], result)),
            Kind::ReceiveMany if self.peeks() => (0, 0),
            Kind::ReceiveMany => (proc::message_lengths(thread, arguments[1], result), 0),
            Kind::Splice => (result, result),
            Kind::Tee => (0, result),
            Kind::Vmsplice if proc::is_writable(thread, arguments[0] as u32) => (0, result),
            Kind::Vmsplice => (result, 0),
            Kind::Submit => {
                process.submissions += 1;
                (0, 0)
            }
        };
        let bytes = Bytes { read, written };
        if matches!(self.kind, Kind::Splice | Kind::Tee | Kind::Vmsplice) {
            process.spliced += bytes;
        } else {
            process.messages += bytes;
        }
    }

    /// Whether the flags of a receiving call say that it consumes nothing.
    fn peeks(&self) -> bool {
        let index = if self.entry.number as libc::c_long == libc::SYS_recvmsg {
            2
        } else {
            3
        };
        self.entry.arguments[index] & PEEK_FLAGS != 0
    }
}
