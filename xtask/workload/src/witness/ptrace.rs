//! `ptrace(2)`, one function for each request that the witness uses.

use std::io;

/// What happens to all traced threads: their children and threads are traced too, they stop after an
/// `exec`, before their end and where the filter says so, and they die with the witness.
const OPTIONS: libc::c_int = libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEEXIT
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_EXITKILL;

/// `PTRACE_GET_SYSCALL_INFO` of `linux/ptrace.h`, and the length of its struct in words.
const GET_SYSCALL_INFO: libc::c_uint = 0x420e;
const SYSCALL_INFO_WORDS: usize = 11;

/// Why a thread changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It ended. It must be reaped with [`reap`].
    Ended { thread: u32 },
    /// It stopped, by this signal or for this event (`PTRACE_EVENT_…`, 0 for none).
    Stopped {
        thread: u32,
        signal: i32,
        event: i32,
    },
}

/// A system call and its arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) arguments: [u64; 6],
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Traces a process from now on.
pub(super) fn seize(pid: u32) -> io::Result<()> {
    let (none, options) = (0_usize, OPTIONS as usize);
    // SAFETY: the request touches no memory of this process.
    check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, none, options) }).map(drop)
}

/// Continues a stopped thread and delivers `signal`, 0 for none. With `to_end_of_call` it stops again
/// when its system call ends. A thread that was killed meanwhile is no error.
pub(super) fn resume(thread: u32, signal: i32, to_end_of_call: bool) -> io::Result<()> {
    let request = if to_end_of_call {
        libc::PTRACE_SYSCALL
    } else {
        libc::PTRACE_CONT
    };
    request_without_data(request, thread, signal as usize)
}

/// Leaves a thread stopped by a signal, as it would be without the witness, but continues to report it.
pub(super) fn listen(thread: u32) -> io::Result<()> {
    request_without_data(libc::PTRACE_LISTEN, thread, 0)
}

fn request_without_data(request: libc::c_uint, thread: u32, data: usize) -> io::Result<()> {
    let none = 0_usize;
    // SAFETY: the requests of the callers touch no memory of this process.
    match check(unsafe { libc::ptrace(request, thread, none, data) }) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        done => done.map(drop),
    }
}

/// The message of an event: the new process, or the former thread id of an `exec`.
pub(super) fn message(thread: u32) -> io::Result<u32> {
    let (none, mut message) = (0_usize, 0_u64);
    let request = libc::PTRACE_GETEVENTMSG;
    // SAFETY: the kernel writes one word into a live local.
    check(unsafe { libc::ptrace(request, thread, none, &raw mut message) })?;
    Ok(message as u32)
}

fn syscall_info(thread: u32) -> io::Result<[u64; SYSCALL_INFO_WORDS]> {
    let mut words = [0_u64; SYSCALL_INFO_WORDS];
    let size = size_of_val(&words);
    // SAFETY: the kernel writes at most `size` bytes into a live local of that size.
    check(unsafe { libc::ptrace(GET_SYSCALL_INFO, thread, size, words.as_mut_ptr()) })?;
    Ok(words)
}

/// The system call of a thread that the filter stopped.
pub(super) fn entry(thread: u32) -> io::Result<Entry> {
    let words = syscall_info(thread)?;
    let mut arguments = [0; 6];
    arguments.copy_from_slice(&words[4..10]);
    Ok(Entry {
        number: words[3],
        arguments,
    })
}

/// The result of the system call of a thread that stopped at its end.
pub(super) fn result(thread: u32) -> io::Result<i64> {
    Ok(syscall_info(thread)?[3] as i64)
}

/// `waitid(2)`: the thread, why (`CLD_…`) and its status. `None`: nothing to report with `WNOHANG`.
fn wait_id(kind: libc::idtype_t, id: u32, options: i32) -> io::Result<Option<(u32, i32, i32)>> {
    // SAFETY: siginfo consists of numbers and pointers, for which zero is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local of the type that the kernel writes.
    check(unsafe { libc::waitid(kind, id, &raw mut info, options | libc::__WALL) }.into())?;
    // SAFETY: `waitid` fills in the fields of a child's change of state, or leaves zeros.
    let (thread, status) = unsafe { (info.si_pid() as u32, info.si_status()) };
    Ok((thread != 0).then_some((thread, info.si_code, status)))
}

/// Waits for the next event of any traced thread. `None`: there is no one left.
pub(super) fn wait() -> io::Result<Option<Event>> {
    loop {
        let any = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT;
        let (thread, why, _) = match wait_id(libc::P_ALL, 0, any) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            Err(error) => return Err(error),
        };
        if matches!(why, libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED) {
            return Ok(Some(Event::Ended { thread }));
        }
        // The thread may have been killed since, and then has no stop to report.
        let stop = wait_id(libc::P_PID, thread, libc::WSTOPPED | libc::WNOHANG)?;
        if let Some((_, _, status)) = stop {
            let (signal, event) = (status & 0xff, status >> 8);
            return Ok(Some(Event::Stopped {
                thread,
                signal,
                event,
            }));
        }
    }
}

/// Takes the status of a thread. An ended one is gone then, and its parent learns of its end.
pub(super) fn reap(thread: u32) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: the pointer is to a live local.
    let result = unsafe { libc::waitpid(thread as i32, &raw mut status, libc::__WALL) };
    check(result.into()).map(|_| status)
}

/// Waits until a child that is not traced yet has stopped; false if it has ended.
pub(super) fn wait_for_stop(child: u32) -> io::Result<bool> {
    let mut status = 0;
    // SAFETY: the pointer is to a live local.
    let result = unsafe { libc::waitpid(child as i32, &raw mut status, libc::WUNTRACED) };
    check(result.into()).map(|_| libc::WIFSTOPPED(status))
}

/// `kill(2)`
pub(super) fn kill(pid: u32, signal: i32) -> io::Result<()> {
    // SAFETY: sends a signal and touches no memory.
    check(unsafe { libc::kill(pid as i32, signal) }.into()).map(drop)
}

/// `alarm(2)`: a signal ends this process, and so all traced ones, after this many seconds.
pub(super) fn die_after(seconds: u32) {
    // SAFETY: sets a timer and touches no memory.
    unsafe { libc::alarm(seconds) };
}

/// Makes standard output the same file as standard error.
pub(super) fn stdout_to_stderr() -> io::Result<()> {
    // SAFETY: both are descriptors of this process, whose standard output nothing holds a lock on.
    check(unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) }.into()).map(drop)
}
