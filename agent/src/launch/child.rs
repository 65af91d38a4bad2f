//! Starts the command, in its cgroup and as its user, and waits for it.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Resource, Rlimit};

use super::user::User;

/// Exit code when the agent fails before the command runs, as that of env(1), nice(1), timeout(1).
pub(super) const FAILED: u8 = 125;
/// Exit codes of shells: the command cannot be run, and is not found (POSIX, 2.8.2).
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;
/// What shells add to the number of a signal.
const SIGNALLED: u8 = 128;

/// What the command begins with.
pub(super) struct Start<'a> {
    /// The command with its arguments.
    pub(super) command: &'a [OsString],
    /// The user, if not the agent's.
    pub(super) user: Option<&'a User>,
    /// Open files `cgroup.procs` of the cgroups that it runs in.
    pub(super) cgroups: Vec<RawFd>,
    /// Its mask of signals.
    pub(super) mask: libc::sigset_t,
    /// Its limit of open files.
    pub(super) files: Rlimit,
}

/// Why the command does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// It could not be prepared.
    #[error("cannot prepare the command: {0}")]
    Prepare(io::Error),
    /// There is no such program.
    #[error("command not found")]
    NotFound,
    /// The program cannot be run.
    #[error("{0}")]
    CannotRun(io::Error),
}

impl StartError {
    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Prepare(_) => FAILED,
            Self::NotFound => NOT_FOUND,
            Self::CannotRun(_) => CANNOT_RUN,
        }
    }
}

/// How a process ended, and what it used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// Its id.
    pub(super) pid: libc::pid_t,
    /// Its status, as wait(2) returns it.
    status: libc::c_int,
    /// CPU time in user mode of it and of the children that it waited for, ns.
    pub(super) user_ns: u64,
    /// The same in the kernel.
    pub(super) system_ns: u64,
}

impl Ended {
    /// The exit code as a shell gives it.
    pub(super) fn code(&self) -> u8 {
        if libc::WIFSIGNALED(self.status) {
            SIGNALLED.wrapping_add(libc::WTERMSIG(self.status) as u8)
        } else {
            libc::WEXITSTATUS(self.status) as u8
        }
    }
}

/// Makes this process the parent of all descendants whose own parent has ended, so that they are found,
/// and waited for.
pub(super) fn adopt_orphans() {
    // SAFETY: the call takes numbers only. It cannot fail with these.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
}

/// Starts the command. Returns its process id.
///
/// # Errors
/// When it cannot be started.
pub(super) fn start(start: &Start<'_>) -> Result<libc::pid_t, StartError> {
    let (program, arguments) = start.command.split_first().ok_or(StartError::NotFound)?;
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in start.user.map(User::variables).unwrap_or_default() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // The child writes to it when it is prepared: an error after that is one of exec.
    let (mut prepared, tell) = io::pipe().map_err(StartError::Prepare)?;
    let preparation = Preparation {
        cgroups: start.cgroups.clone(),
        ids: start.user.map(|user| (user.uid, user.gid)),
        groups: start
            .user
            .map(|user| user.groups.clone())
            .unwrap_or_default(),
        mask: start.mask,
        files: start.files,
        tell: tell.as_raw_fd(),
    };
    // SAFETY: the closure calls only functions that are safe after fork (signal-safety(7)), and
    // allocates nothing.
    unsafe {
        command.pre_exec(move || preparation.apply());
    }
    let spawned = command.spawn();
    drop(tell);
    match spawned {
        // It is waited for with all other children.
        Ok(child) => Ok(child.id() as libc::pid_t),
        Err(error) => {
            let mut told = Vec::new();
            let is_prepared = prepared.read_to_end(&mut told).is_ok_and(|told| told == 1);
            Err(match error.kind() {
                _ if !is_prepared => StartError::Prepare(error),
                io::ErrorKind::NotFound => StartError::NotFound,
                _ => StartError::CannotRun(error),
            })
        }
    }
}

/// What the child does between fork and exec.
struct Preparation {
    cgroups: Vec<RawFd>,
    ids: Option<(libc::uid_t, libc::gid_t)>,
    groups: Vec<libc::gid_t>,
    mask: libc::sigset_t,
    files: Rlimit,
    tell: RawFd,
}

impl Preparation {
    fn apply(&self) -> io::Result<()> {
        rustix::process::setrlimit(Resource::Nofile, self.files)?;
        if let Some((uid, gid)) = self.ids {
            // Groups first, as only root may set them.
            // SAFETY: the array has as many groups as the call is told.
            check(unsafe { libc::setgroups(self.groups.len(), self.groups.as_ptr()) } == 0)?;
            // SAFETY: the calls take numbers only.
            check(unsafe { libc::setresgid(gid, gid, gid) } == 0)?;
            // SAFETY: the call takes numbers only.
            check(unsafe { libc::setresuid(uid, uid, uid) } == 0)?;
        }
        let former = std::ptr::null_mut();
        // SAFETY: the set is initialised; the former one is not asked for.
        let set = unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, former) };
        check(set == 0)?;
        self.tell()?;
        // Entering the cgroups comes last, and the one that identifies the run last of all: what is done
        // in it is counted.
        let entered = enter(&self.cgroups);
        if entered.is_err() {
            self.tell()?;
        }
        entered
    }

    /// Tells the parent once that all is prepared, and once more if it is not after all.
    fn tell(&self) -> io::Result<()> {
        // SAFETY: the buffer has one byte.
        check(unsafe { libc::write(self.tell, b"1".as_ptr().cast(), 1) } == 1)
    }
}

/// Enters the cgroups from the last to the first; `procs` are their `cgroup.procs`. A child writes to these,
/// which stays outside: a write of this process would end in the cgroup, and count as one of the command.
fn enter(procs: &[RawFd]) -> io::Result<()> {
    if procs.is_empty() {
        return Ok(());
    }
    // SAFETY: the call takes nothing.
    let own = unsafe { libc::getpid() };
    let mut buffer = [0; 10];
    let digits = decimal(own.unsigned_abs(), &mut buffer);
    // SAFETY: the child calls only functions that are safe after fork.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let mut error = 0;
            for procs in procs.iter().rev() {
                // SAFETY: the buffer has so many bytes.
                if unsafe { libc::write(*procs, digits.as_ptr().cast(), digits.len()) } < 0 {
                    // SAFETY: the address of this thread's number.
                    error = unsafe { *libc::__errno_location() };
                    break;
                }
            }
            // SAFETY: the child has nothing to clean up.
            unsafe { libc::_exit(error) }
        }
        child => wait_for(child),
    }
}

/// Waits for the child that enters the cgroups. Its exit code is the number of an error.
fn wait_for(child: libc::pid_t) -> io::Result<()> {
    let mut status = 0;
    // SAFETY: the pointer is valid for the call.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    if !libc::WIFEXITED(status) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    match libc::WEXITSTATUS(status) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The digits of a number, without an allocation.
fn decimal(mut number: u32, buffer: &mut [u8; 10]) -> &[u8] {
    let mut first = buffer.len();
    loop {
        first -= 1;
        buffer[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || first == 0 {
            return &buffer[first..];
        }
    }
}

fn check(is_done: bool) -> io::Result<()> {
    match is_done {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

/// The next child that has ended. `Ok(None)`: none has.
///
/// # Errors
/// When there are no children.
pub(super) fn reap() -> io::Result<Option<Ended>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are valid for the call.
        let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
        if pid == 0 {
            return Ok(None);
        }
        if pid < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        // SAFETY: zeros are a value of it, and the kernel has filled it.
        let usage = unsafe { usage.assume_init() };
        let ns = |time: libc::timeval| {
            (time.tv_sec as u64).saturating_mul(1_000_000_000) + time.tv_usec as u64 * 1_000
        };
        return Ok(Some(Ended {
            pid,
            status,
            user_ns: ns(usage.ru_utime),
            system_ns: ns(usage.ru_stime),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn digits_of_a_number() {
        for number in [0, 9, 10, 4_194_304, u32::MAX] {
            assert_eq!(decimal(number, &mut [0; 10]), number.to_string().as_bytes());
        }
    }
}
