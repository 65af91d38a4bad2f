//! Time that threads do not run, in nanoseconds (`u64`), by process and by what they wait for.
//!
//! A thread waits for a core, or it sleeps. The system call in which it sleeps says for what. The table
//! of [`CALLS`] names the state for each call. For calls that use a descriptor it depends on the file.

use super::calls::NONE;
use super::plain;
use super::syscall::CALL_COUNT;

/// What a thread that does not run waits for. The number is an index into [`WaitSum`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State;

impl State {
    /// A core: it could run.
    pub const CORE: u8 = 0;
    /// Files and their metadata, on a disk or over a network file system.
    pub const DISK: u8 = 1;
    /// A socket.
    pub const NETWORK: u8 = 2;
    /// Another thread: a futex (mutex, condition, join), a file lock, a semaphore.
    pub const LOCK: u8 = 3;
    /// One of several events: `poll`, `select`, `epoll`, io_uring, a signal.
    pub const EVENTS: u8 = 4;
    /// A child process.
    pub const CHILD: u8 = 5;
    /// Nothing but time.
    pub const SLEEP: u8 = 6;
    /// The other end of a pipe or message queue.
    pub const PIPE: u8 = 7;
    /// Nothing: it is stopped by a signal or a debugger, or frozen.
    pub const STOPPED: u8 = 8;
    /// Anything else.
    pub const OTHER: u8 = 9;

    /// Number of states.
    pub const COUNT: usize = 10;

    /// In [`WaitCalls`]: [`Self::DISK`], for the file of the first argument.
    pub const DISK_OF_FILE: u8 = 12;
    /// In [`WaitCalls`]: [`Self::NETWORK`], for the socket of the first argument.
    pub const NETWORK_OF_FILE: u8 = 13;
    /// In [`WaitCalls`]: depends on the file of the first argument.
    pub const BY_FILE: u8 = 14;
    /// In [`WaitCalls`]: continues the call before (`restart_syscall`).
    pub const RESTART: u8 = 15;
}

/// Time of a process by [`State`], ns.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitSum {
    /// Nanoseconds, summed over threads.
    pub ns: [u64; State::COUNT],
}

/// The state of a thread that sleeps in a system call, by number: of 64-bit programs in the lower half
/// of the byte, of 32-bit programs in the upper half. 0 is [`State::OTHER`].
pub type WaitCalls = [u8; CALL_COUNT];

/// A state, and the system calls in which a thread waits for it: name, number for 64-bit programs of
/// x86-64, number for 32-bit programs.
pub type Row = (u8, &'static [(&'static str, u16, u16)]);

/// All calls that can sleep and whose name says for what.
#[rustfmt::skip]
pub const CALLS: &[Row] = &[
    (State::BY_FILE, &[
        ("read", 0, 3), ("write", 1, 4), ("pread64", 17, 180), ("pwrite64", 18, 181),
        ("readv", 19, 145), ("writev", 20, 146), ("preadv", 295, 333), ("pwritev", 296, 334),
        ("preadv2", 327, 378), ("pwritev2", 328, 379), ("sendfile", 40, 187), ("sendfile64", NONE, 239),
        ("splice", 275, 313), ("tee", 276, 315), ("vmsplice", 278, 316),
    ]),
    (State::DISK_OF_FILE, &[
        ("fsync", 74, 118), ("fdatasync", 75, 148), ("syncfs", 306, 344), ("sync_file_range", 277, 314),
        ("fstat", 5, 108), ("fstat64", NONE, 197), ("getdents", 78, 141), ("getdents64", 217, 220),
        ("ftruncate", 77, 93), ("ftruncate64", NONE, 194), ("fallocate", 285, 324),
        ("fstatfs", 138, 100), ("fstatfs64", NONE, 269), ("fchmod", 91, 94), ("fchown", 93, 95),
        ("fchdir", 81, 133), ("readahead", 187, 225), ("fadvise64", 221, 250),
        ("copy_file_range", 326, 377),
    ]),
    (State::DISK, &[
        ("sync", 162, 36), ("msync", 26, 144), ("open", 2, 5), ("creat", 85, 8),
        ("openat", 257, 295), ("openat2", 437, 437), ("close", 3, 6), ("stat", 4, 106),
        ("lstat", 6, 107), ("newfstatat", 262, NONE), ("fstatat64", NONE, 300),
        ("stat64", NONE, 195), ("lstat64", NONE, 196), ("statx", 332, 383),
        ("access", 21, 33), ("faccessat", 269, 307), ("faccessat2", 439, 439),
        ("rename", 82, 38), ("renameat", 264, 302), ("renameat2", 316, 353),
        ("unlink", 87, 10), ("unlinkat", 263, 301), ("mkdir", 83, 39), ("mkdirat", 258, 296),
        ("rmdir", 84, 40), ("link", 86, 9), ("linkat", 265, 303), ("symlink", 88, 83),
        ("symlinkat", 266, 304), ("readlink", 89, 85), ("readlinkat", 267, 305), ("truncate", 76, 92),
        ("truncate64", NONE, 193), ("statfs", 137, 99), ("statfs64", NONE, 268),
        ("utimensat", 280, 320), ("utimes", 235, 271), ("chmod", 90, 15),
        ("fchmodat", 268, 306), ("chown", 92, 182), ("lchown", 94, 16), ("fchownat", 260, 298),
        ("mount", 165, 21), ("umount2", 166, 52), ("umount", NONE, 22),
        ("io_getevents", 208, 247), ("io_submit", 209, 248),
        ("io_pgetevents", 333, 385), ("io_pgetevents_time64", NONE, 416), ("getxattr", 191, 229),
        ("setxattr", 188, 226), ("execve", 59, 11), ("execveat", 322, 358), ("chdir", 80, 12),
        ("name_to_handle_at", 303, 341), ("open_by_handle_at", 304, 342),
    ]),
    (State::NETWORK_OF_FILE, &[
        ("accept", 43, NONE), ("accept4", 288, 364), ("connect", 42, 362), ("sendto", 44, 369),
        ("recvfrom", 45, 371), ("sendmsg", 46, 370), ("recvmsg", 47, 372), ("sendmmsg", 307, 345),
        ("recvmmsg", 299, 337), ("recvmmsg_time64", NONE, 417), ("shutdown", 48, 373),
    ]),
    (State::NETWORK, &[("socketcall", NONE, 102)]),
    (State::LOCK, &[
        ("futex", 202, 240), ("futex_time64", NONE, 422), ("futex_waitv", 449, 449),
        ("futex_wait", 455, 455), ("flock", 73, 143), ("fcntl", 72, 55), ("fcntl64", NONE, 221),
        ("semop", 65, NONE), ("semtimedop", 220, NONE), ("semtimedop_time64", NONE, 420),
    ]),
    (State::EVENTS, &[
        ("poll", 7, 168), ("ppoll", 271, 309), ("ppoll_time64", NONE, 414), ("select", 23, 82),
        ("_newselect", NONE, 142), ("pselect6", 270, 308), ("pselect6_time64", NONE, 413),
        ("epoll_wait", 232, 256), ("epoll_pwait", 281, 319), ("epoll_pwait2", 441, 441),
        ("io_uring_enter", 426, 426), ("pause", 34, 29), ("rt_sigsuspend", 130, 179),
        ("sigsuspend", NONE, 72), ("rt_sigtimedwait", 128, 177), ("rt_sigtimedwait_time64", NONE, 421),
    ]),
    (State::CHILD, &[
        ("wait4", 61, 114), ("waitid", 247, 284), ("waitpid", NONE, 7), ("vfork", 58, 190),
        ("clone", 56, 120), ("clone3", 435, 435),
    ]),
    (State::SLEEP, &[
        ("nanosleep", 35, 162), ("clock_nanosleep", 230, 267), ("clock_nanosleep_time64", NONE, 407),
    ]),
    (State::PIPE, &[
        ("msgsnd", 69, 400), ("msgrcv", 70, 401), ("mq_timedsend", 242, 279),
        ("mq_timedsend_time64", NONE, 418), ("mq_timedreceive", 243, 280),
        ("mq_timedreceive_time64", NONE, 419),
    ]),
    (State::RESTART, &[("restart_syscall", 219, 0)]),
];

/// The states of x86-64: see [`WaitCalls`].
pub const fn x86() -> WaitCalls {
    let mut calls = [0; CALL_COUNT];
    let mut row = 0;
    while row < CALLS.len() {
        let (state, of_state) = CALLS[row];
        let mut i = 0;
        while i < of_state.len() {
            let (_, wide, narrow) = of_state[i];
            if wide != NONE {
                calls[wide as usize] |= state;
            }
            if narrow != NONE {
                calls[narrow as usize] |= state << 4;
            }
            i += 1;
        }
        row += 1;
    }
    calls
}

crate::offsets! {
    /// What the scheduler knows of a task. A kernel that lacks one of these fields counts no waits.
    pub struct WaitOffsets from 224 {
        task_start_time = optional "task_struct"."start_time",
        task_state = optional "task_struct"."__state",
        task_exit_state = optional "task_struct"."exit_state",
        task_on_cpu = optional "task_struct"."on_cpu",
        task_run_delay = optional "task_struct"."sched_info.run_delay",
        task_last_arrival = optional "task_struct"."sched_info.last_arrival",
        task_last_queued = optional "task_struct"."sched_info.last_queued",
        task_runs = optional "task_struct"."sched_info.pcount",
        inode_flags = optional "inode"."i_flags",
    }
}

/// Number of the placeholder for the byte of `task_struct` that has the bit `in_iowait`.
pub const IN_IOWAIT: u32 = WaitOffsets::FIRST + WaitOffsets::FIELDS.len() as u32;

plain! { WaitSum is 80 bytes; }

#[cfg(test)]
mod tests {
    use super::{CALLS, State, x86};

    #[test]
    fn each_number_has_one_state() {
        let calls = x86();
        for (state, of_state) in CALLS {
            for (name, wide, narrow) in *of_state {
                let found = |number: &u16| calls.get(usize::from(*number)).copied();
                assert!(found(wide).is_none_or(|both| both & 15 == *state), "{name}");
                assert!(
                    found(narrow).is_none_or(|both| both >> 4 == *state),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn states_fit_into_half_a_byte_beside_the_special_ones() {
        assert!(State::COUNT <= usize::from(State::DISK_OF_FILE));
        assert_eq!(usize::from(State::OTHER), State::COUNT - 1);
    }
}
