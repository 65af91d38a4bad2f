//! The file that a thread waits for: that of the system call in which it goes to sleep, or of its page fault.
//!
//! It is found when the thread leaves its core, where its paths can be read and the call holds the file. The
//! number is kept beside the thread (`wait`), and its time is charged to that number.
//!
//! | sleeps in | file |
//! |---|---|
//! | a call on a descriptor: read, write, fsync, … | that of the descriptor |
//! | `sendfile` | the file it reads   |
//! | a page fault of a mapping that was noted (`file_fault`) | the mapped one |
//! | a call on a path (`open`, `stat`, `rename`), `close`, `io_getevents`, io_uring | none: only the process waits |

use crate::btf::KernelPtr;
use crate::cpu_state::cpu_state;
use crate::descriptor::{PIPE, SOCKET, TYPE_MASK, mode_and_flags};
use crate::file::number_of;
use crate::file_fault::faulting_file;
use crate::task;
use crate::wait_state::file_of_call;

/// Number of the file that the task of this core, which goes to sleep, waits for on a disk. 0 if there
/// is none, or if the file has no number.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn wait_file() -> u64 {
    let Some(state) = cpu_state() else {
        return 0;
    };
    // SAFETY: this core's state; interrupts are off during a switch.
    unsafe {
        match file_of_call(&(*state).running, task::current(), true) {
            Some(file) if is_storage(file) => number_of(state, file),
            _ => faulting_file().unwrap_or(0),
        }
    }
}

/// Whether it is neither a socket nor a pipe.
#[inline(always)]
fn is_storage(file: KernelPtr) -> bool {
    let (mode, _) = mode_and_flags(file);
    !matches!(mode & TYPE_MASK, SOCKET | PIPE)
}
