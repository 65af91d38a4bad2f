//! System calls, one function each, so that the number made is the number counted.
//!
//! The standard library may repeat, split or add calls (`write_all`, `copy`, `Child::wait`);
//! nothing here does. Opening files and setting up sockets is left to the standard library, as
//! those calls move no bytes.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Turns the kernel's answer into a count or an error.
fn count(answer: isize) -> io::Result<u64> {
    u64::try_from(answer).map_err(|_| io::Error::last_os_error())
}

/// Turns an answer that is nothing but success or failure.
fn done(answer: i32) -> io::Result<()> {
    count(answer as isize).map(drop)
}

/// `read(2)`
pub(crate) fn read(from: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<u64> {
    // SAFETY: the pointer and the length are those of a live, writable slice.
    count(unsafe { libc::read(from.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) })
}

/// `write(2)`
pub(crate) fn write(to: &impl AsRawFd, buffer: &[u8]) -> io::Result<u64> {
    // SAFETY: the pointer and the length are those of a live slice.
    count(unsafe { libc::write(to.as_raw_fd(), buffer.as_ptr().cast(), buffer.len()) })
}

/// `pread64(2)`
pub(crate) fn pread(from: &impl AsRawFd, buffer: &mut [u8], offset: u64) -> io::Result<u64> {
    let (pointer, length) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the pointer and the length are those of a live, writable slice.
    count(unsafe { libc::pread(from.as_raw_fd(), pointer, length, offset as libc::off_t) })
}

/// `pwrite64(2)`
pub(crate) fn pwrite(to: &impl AsRawFd, buffer: &[u8], offset: u64) -> io::Result<u64> {
    let (pointer, length) = (buffer.as_ptr().cast(), buffer.len());
    // SAFETY: the pointer and the length are those of a live slice.
    count(unsafe { libc::pwrite(to.as_raw_fd(), pointer, length, offset as libc::off_t) })
}

/// `buffer` cut into `parts` vectors of equal length (the last takes the rest).
fn vectors(buffer: *mut u8, length: usize, parts: usize) -> Vec<libc::iovec> {
    let each = length / parts;
    (0..parts)
        .map(|part| {
            let start = part * each;
            let end = if part + 1 == parts {
                length
            } else {
                start + each
            };
            libc::iovec {
                iov_base: buffer.wrapping_add(start).cast(),
                iov_len: end - start,
            }
        })
        .collect()
}

/// `readv(2)` into four parts of `buffer`
pub(crate) fn readv(from: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<u64> {
    let parts = vectors(buffer.as_mut_ptr(), buffer.len(), 4);
    // SAFETY: the vectors lie side by side within a live, writable slice.
    count(unsafe { libc::readv(from.as_raw_fd(), parts.as_ptr(), parts.len() as i32) })
}

/// `writev(2)` of four parts of `buffer`
pub(crate) fn writev(to: &impl AsRawFd, buffer: &[u8]) -> io::Result<u64> {
    let parts = vectors(buffer.as_ptr().cast_mut(), buffer.len(), 4);
    // SAFETY: the vectors lie side by side within a live slice, and writev only reads them.
    count(unsafe { libc::writev(to.as_raw_fd(), parts.as_ptr(), parts.len() as i32) })
}

/// `sendfile(2)`, from the file's own position
pub(crate) fn sendfile(to: &impl AsRawFd, from: &impl AsRawFd, length: usize) -> io::Result<u64> {
    let (to, from) = (to.as_raw_fd(), from.as_raw_fd());
    // SAFETY: a null offset means the file's own position; no memory of ours is touched.
    count(unsafe { libc::sendfile(to, from, std::ptr::null_mut(), length) })
}

/// `splice(2)`, from and to the files' own positions
pub(crate) fn splice(from: &impl AsRawFd, to: &impl AsRawFd, length: usize) -> io::Result<u64> {
    let (from, to, null) = (from.as_raw_fd(), to.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: null offsets mean the files' own positions; no memory of ours is touched.
    count(unsafe { libc::splice(from, null, to, null, length, 0) })
}

/// `copy_file_range(2)`, from and to the files' own positions
pub(crate) fn copy_file_range(
    from: &impl AsRawFd,
    to: &impl AsRawFd,
    length: usize,
) -> io::Result<u64> {
    let (from, to, null) = (from.as_raw_fd(), to.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: null offsets mean the files' own positions; no memory of ours is touched.
    count(unsafe { libc::copy_file_range(from, null, to, null, length, 0) })
}

/// `sendto(2)` without an address: `send`
pub(crate) fn send(to: &impl AsRawFd, buffer: &[u8]) -> io::Result<u64> {
    let (pointer, length) = (buffer.as_ptr().cast(), buffer.len());
    // SAFETY: the pointer and the length are those of a live slice.
    count(unsafe { libc::send(to.as_raw_fd(), pointer, length, libc::MSG_NOSIGNAL) })
}

/// `recvfrom(2)` without an address: `recv`
pub(crate) fn recv(from: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<u64> {
    let (pointer, length) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the pointer and the length are those of a live, writable slice.
    count(unsafe { libc::recv(from.as_raw_fd(), pointer, length, 0) })
}

/// `pipe2(2)`: the reading and the writing end
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors into an array of two.
    done(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both were made just now and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// `fork(2)`: the child's id, or none in the child itself
///
/// The program has one thread when it calls this, so the child may do anything that its parent
/// may.
pub(crate) fn fork() -> io::Result<Option<u32>> {
    // SAFETY: there is no other thread that could hold a lock over the fork.
    let pid = unsafe { libc::fork() };
    count(pid as isize)?;
    Ok((pid != 0).then_some(pid as u32))
}

/// `execv(2)`; returns only if it failed
pub(crate) fn exec(program: &CString, args: &[CString]) -> io::Error {
    let mut pointers: Vec<_> = args.iter().map(|arg| arg.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the strings end in NUL, the array ends in a null pointer, and all outlive the call.
    unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// `exit_group(2)`, at once, without any work of the standard library's
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(code) }
}

/// `kill(2)`, to oneself
pub(crate) fn kill_self(signal: i32) -> io::Result<()> {
    // SAFETY: sends a signal to this process, which owns no state that others depend on.
    done(unsafe { libc::kill(libc::getpid(), signal) })
}

/// `getpid(2)` as a real system call, which it is also where a C library might remember it
pub(crate) fn getpid() -> u32 {
    // SAFETY: takes no argument and cannot fail.
    unsafe { libc::syscall(libc::SYS_getpid) as u32 }
}

/// `getppid(2)`
pub(crate) fn getppid() -> u32 {
    // SAFETY: takes no argument and cannot fail.
    unsafe { libc::getppid() as u32 }
}

/// How a child ended, and what it had used.
pub(crate) struct Ended {
    /// The code, if it left by itself.
    pub(crate) exit_code: Option<i32>,
    /// The signal, if one ended it.
    pub(crate) signal: Option<i32>,
    /// User and system time, ns.
    pub(crate) cpu_ns: u64,
    /// Largest resident set, bytes.
    pub(crate) max_rss_bytes: u64,
}

/// `wait4(2)`
pub(crate) fn wait(pid: u32) -> io::Result<Ended> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the type that the kernel writes.
    done(unsafe { libc::wait4(pid as i32, &mut status, 0, &mut usage) })?;
    let nanoseconds = |t: libc::timeval| t.tv_sec as u64 * 1_000_000_000 + t.tv_usec as u64 * 1000;
    Ok(Ended {
        exit_code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        cpu_ns: nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime),
        max_rss_bytes: usage.ru_maxrss as u64 * 1024,
    })
}

/// CPU time of this process so far, in ns. A real system call: the vDSO does not offer it.
pub(crate) fn cpu_ns() -> io::Result<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live local of the type that the kernel writes.
    done(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) })?;
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Inode of an open file, which names a pipe.
pub(crate) fn inode(of: &impl AsRawFd) -> io::Result<u64> {
    // SAFETY: stat is plain numbers, for which zero is a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local of the type that the kernel writes.
    done(unsafe { libc::fstat(of.as_raw_fd(), &mut stat) })?;
    Ok(stat.st_ino)
}

/// `openat(2)` for reading, then `close(2)`
pub(crate) fn open_close(path: &CString) -> io::Result<()> {
    // SAFETY: the string ends in NUL and outlives the call.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) };
    count(fd as isize)?;
    // SAFETY: the descriptor was made just now and belongs to nobody else.
    done(unsafe { libc::close(fd) })
}

/// `prctl(PR_SET_NAME)`: of this thread, and so of the process if it is its first
pub(crate) fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: the string ends in NUL and outlives the call, which copies it.
    done(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) })
}

/// `prctl(PR_GET_NAME)`
pub(crate) fn name() -> io::Result<CString> {
    let mut name = [0_u8; 16];
    // SAFETY: the kernel writes 16 bytes at most, the last of them NUL, into a live local of that size.
    done(unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) })?;
    CStr::from_bytes_until_nul(&name)
        .map(CStr::to_owned)
        .map_err(io::Error::other)
}

/// `prctl(PR_SET_PDEATHSIG)`: killed when the thread that started this process is no more; it
/// holds over an `exec`
pub(crate) fn die_with_parent() -> io::Result<()> {
    // SAFETY: sets an attribute of this process and touches no memory.
    done(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })
}
