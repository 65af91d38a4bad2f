//! Signals of the agent while a command runs: they are read from a descriptor, and passed on.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Signals that are passed on to the command.
const PASSED_ON: [libc::c_int; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
];

/// The signals, blocked in all threads that are started later.
#[derive(Debug)]
pub(super) struct Signals {
    descriptor: OwnedFd,
    /// The mask that the command gets.
    pub(super) original: libc::sigset_t,
}

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// A child ended, or changed its state.
    Child,
    /// A signal for the command, and whether it has got it already: the terminal sends to all of a
    /// group.
    Other {
        /// Its number.
        signal: libc::c_int,
        /// The kernel sent it to the whole group.
        is_of_terminal: bool,
    },
}

impl Signals {
    /// Blocks the signals in this thread.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub(super) fn block() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut original = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are ours; the first is initialised by `sigemptyset`, the second by
        // `pthread_sigmask`, which cannot fail with these arguments.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in PASSED_ON {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
            // If it is ignored, the kernel forgets how children end. The command inherits the default.
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), original.as_mut_ptr());
        }
        // SAFETY: the set is initialised.
        let descriptor =
            unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: the kernel has just returned this descriptor; nothing else owns it.
            descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) },
            // SAFETY: `pthread_sigmask` has initialised it.
            original: unsafe { original.assume_init() },
        })
    }

    /// The next pending signal. `None` if no signal is pending.
    pub(super) fn next(&self) -> Option<Received> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes into `info`.
        let read =
            unsafe { libc::read(self.descriptor.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if read != size as isize {
            return None;
        }
        // SAFETY: the kernel has filled it, and any bytes are a value of it.
        let info = unsafe { info.assume_init() };
        let signal = info.ssi_signo as libc::c_int;
        Some(match signal {
            libc::SIGCHLD => Received::Child,
            signal => Received::Other {
                signal,
                // From SI_KERNEL (0x80) on codes are the kernel's; processes send with 0 or below.
                is_of_terminal: info.ssi_code > 0,
            },
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
