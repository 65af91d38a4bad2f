//! System calls, one function each, so that the program counts exactly the calls it makes.
//!
//! The standard library may repeat, split or add calls (`write_all`, `copy`, `Child::wait`); these
//! functions do not. The standard library opens files and sets up sockets, as those calls move no bytes.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicPtr, AtomicUsize};

/// Converts the result of a call to a count or an error.
pub(crate) fn count(result: isize) -> io::Result<u64> {
    u64::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Converts the result of a call that only succeeds or fails.
pub(crate) fn check(result: i32) -> io::Result<()> {
    count(result as isize).map(drop)
}

/// Size of a page, in bytes.
pub(crate) fn page_size() -> u64 {
    // SAFETY: no memory is passed.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096)
}

/// Whether a file is on tmpfs.
pub(crate) fn is_tmpfs(file: &impl AsRawFd) -> io::Result<bool> {
    let mut found = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the kernel writes one struct, which has no invalid values.
    check(unsafe { libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) })?;
    // SAFETY: it is written.
    Ok(unsafe { found.assume_init() }.f_type == libc::TMPFS_MAGIC)
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

/// Cuts `buffer` into `parts` vectors of equal length; the last one has the rest.
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

/// `sendfile(2)`, from the current position of the file
pub(crate) fn sendfile(to: &impl AsRawFd, from: &impl AsRawFd, length: usize) -> io::Result<u64> {
    let (to, from) = (to.as_raw_fd(), from.as_raw_fd());
    // SAFETY: a null offset means the current position; the call accesses no memory of this process.
    count(unsafe { libc::sendfile(to, from, std::ptr::null_mut(), length) })
}

/// `splice(2)`, from and to the current positions of the files
pub(crate) fn splice(from: &impl AsRawFd, to: &impl AsRawFd, length: usize) -> io::Result<u64> {
    let (from, to, null) = (from.as_raw_fd(), to.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: null offsets mean the current positions; the call accesses no memory of this process.
    count(unsafe { libc::splice(from, null, to, null, length, 0) })
}

/// `copy_file_range(2)`, from and to the current positions of the files
pub(crate) fn copy_file_range(
    from: &impl AsRawFd,
    to: &impl AsRawFd,
    length: usize,
) -> io::Result<u64> {
    let (from, to, null) = (from.as_raw_fd(), to.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: null offsets mean the current positions; the call accesses no memory of this process.
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

/// `pipe2(2)`: the read end and the write end
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors into an array of two.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both descriptors are new, and nothing else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// `linkat(2)` of an open file without a name
pub(crate) fn link(file: &impl AsRawFd, path: &Path) -> io::Result<()> {
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let to = CString::new(path.as_os_str().as_bytes())?;
    let (here, flags) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
    // SAFETY: both strings end in NUL and outlive the call.
    check(unsafe { libc::linkat(here, from.as_ptr(), here, to.as_ptr(), flags) })
}

/// `dup2(2)`: `to` becomes a second descriptor of the same file
pub(crate) fn dup2(from: &impl AsRawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: the case owns both descriptors; nothing else relies on the file behind `to`.
    count(unsafe { libc::dup2(from.as_raw_fd(), to) } as isize).map(drop)
}

/// `dup3(2)`: `to` becomes a second descriptor of the same file, which is closed at an exec
pub(crate) fn dup3(from: &impl AsRawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: the case owns both descriptors; nothing else relies on the file behind `to`.
    count(unsafe { libc::dup3(from.as_raw_fd(), to, libc::O_CLOEXEC) } as isize).map(drop)
}

/// `dup(2)`: a second descriptor of the same file, with the lowest free number
pub(crate) fn duplicate(from: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicates a descriptor.
    let number = unsafe { libc::dup(from.as_raw_fd()) };
    check(number)?;
    // SAFETY: it is new, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// `close_range(2)` of one descriptor that nothing else owns
pub(crate) fn close_range(number: RawFd) -> io::Result<()> {
    // SAFETY: the caller owns the descriptor, the only one of the range.
    count(unsafe { libc::syscall(libc::SYS_close_range, number, number, 0) } as isize).map(drop)
}

/// `chroot(2)`
pub(crate) fn chroot(to: &Path) -> io::Result<()> {
    let to = CString::new(to.as_os_str().as_bytes())?;
    // SAFETY: the string ends in NUL and outlives the call.
    check(unsafe { libc::chroot(to.as_ptr()) })
}

/// Room for the header of one control message with one descriptor. `cmsghdr` must be aligned.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// `sendmsg(2)`: one byte, with a descriptor (`SCM_RIGHTS`)
pub(crate) fn send_descriptor(to: &impl AsRawFd, descriptor: &impl AsRawFd) -> io::Result<()> {
    with_control(|message| {
        message.msg_controllen = cmsg_space() as _;
        // SAFETY: the control buffer has room for a header and a descriptor, and is aligned.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            data.write_unaligned(descriptor.as_raw_fd());
            count(libc::sendmsg(to.as_raw_fd(), message, 0)).map(drop)
        }
    })
}

/// `recvmsg(2)`: one byte, with a descriptor (`SCM_RIGHTS`)
pub(crate) fn receive_descriptor(from: &impl AsRawFd) -> io::Result<OwnedFd> {
    with_control(|message| {
        // SAFETY: the buffers in the message are live and writable; a header that the kernel wrote
        // lies within the control buffer, and its descriptor is new.
        unsafe {
            count(libc::recvmsg(
                from.as_raw_fd(),
                message,
                libc::MSG_CMSG_CLOEXEC,
            ))?;
            let header = libc::CMSG_FIRSTHDR(message);
            if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                return Err(io::Error::other("no descriptor came"));
            }
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            Ok(OwnedFd::from_raw_fd(data.read_unaligned()))
        }
    })
}

fn cmsg_space() -> usize {
    // SAFETY: computes a size.
    unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) as usize }
}

/// Calls `call` with a message of one byte and an empty control buffer.
fn with_control<T>(call: impl FnOnce(&mut libc::msghdr) -> io::Result<T>) -> io::Result<T> {
    let (mut byte, mut control) = ([1_u8; 1], Control([0; 64]));
    let mut part = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: byte.len(),
    };
    // SAFETY: zeros are a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    call(&mut message)
}

/// `close(2)` of a descriptor that nothing else owns
pub(crate) fn close(number: RawFd) -> io::Result<()> {
    // SAFETY: the caller owns the descriptor.
    check(unsafe { libc::close(number) })
}

/// `fork(2)`: the id of the child, or `None` in the child
///
/// The case has one thread, so the child may call the same functions as its parent.
pub(crate) fn fork() -> io::Result<Option<u32>> {
    // SAFETY: no other thread can hold a lock during the fork.
    let pid = unsafe { libc::fork() };
    count(pid as isize)?;
    Ok((pid != 0).then_some(pid as u32))
}

/// `execv(2)`; returns only on failure
pub(crate) fn exec(program: &CStr, args: &[CString]) -> io::Error {
    let mut pointers: Vec<_> = args.iter().map(|arg| arg.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the strings end in NUL, the array ends in a null pointer, and all outlive the call.
    unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// `fexecve(3)`: executes an open file; returns only on failure. The environment becomes empty.
pub(crate) fn exec_file(file: &impl AsRawFd, args: &[CString]) -> io::Error {
    let mut pointers: Vec<_> = args.iter().map(|arg| arg.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let empty = [std::ptr::null()];
    // SAFETY: the strings end in NUL, both arrays end in a null pointer, and all outlive the call.
    unsafe { libc::fexecve(file.as_raw_fd(), pointers.as_ptr(), empty.as_ptr()) };
    io::Error::last_os_error()
}

/// `memfd_create(2)`: a file in memory, closed by `exec`
pub(crate) fn memfd(name: &CStr) -> io::Result<File> {
    // SAFETY: the string ends in NUL and outlives the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    count(fd as isize)?;
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// `setresgid(2)`, `setresuid(2)`: becomes another user of another group for good
pub(crate) fn set_user(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: changes attributes of this process and touches no memory.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: as above.
    check(unsafe { libc::setresuid(uid, uid, uid) })
}

/// `exit(2)`: ends this thread alone
pub(crate) fn end_thread() -> ! {
    loop {
        // SAFETY: ends the thread, whose stack nothing else uses.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// Beginning and length of the arguments, which the kernel laid out side by side.
static ARGUMENTS: (AtomicPtr<c_char>, AtomicUsize) =
    (AtomicPtr::new(std::ptr::null_mut()), AtomicUsize::new(0));

/// Notes where the arguments are.
///
/// # Safety
/// `argv` is that of `main`, with `argc` strings.
pub(crate) unsafe fn note_arguments(argc: c_int, argv: *const *const c_char) {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(last) = usize::try_from(argc)
            .ok()
            .and_then(|argc| argc.checked_sub(1))
        else {
            return;
        };
        let (first, last) = (*argv, *argv.add(last));
        let end = last.addr() + CStr::from_ptr(last).to_bytes_with_nul().len();
        ARGUMENTS.0.store(first.cast_mut(), Relaxed);
        ARGUMENTS.1.store(end - first.addr(), Relaxed);
    }
}

/// Overwrites the arguments, as `setproctitle` does. A longer title is cut.
pub(crate) fn set_title(title: &str) {
    let (first, length) = (ARGUMENTS.0.load(Relaxed), ARGUMENTS.1.load(Relaxed));
    for at in 0..length {
        let byte = title.as_bytes().get(at).copied().unwrap_or(0);
        let byte = if at + 1 == length { 0 } else { byte };
        // SAFETY: within the arguments, which the kernel made writable; nothing else refers to them.
        unsafe { first.add(at).cast::<u8>().write_volatile(byte) };
    }
}

/// `exit_group(2)`, without the exit handlers of the libraries
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends the process, so nothing runs afterwards.
    unsafe { libc::_exit(code) }
}

/// Anonymous memory that the children of this process share, filled with zeros. It stays until the end.
pub(crate) fn shared_memory(length: usize) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
    match address {
        libc::MAP_FAILED => Err(io::Error::last_os_error()),
        address => Ok(address.cast()),
    }
}

/// Writes to each page of a mapping, so that it is resident.
pub(crate) fn touch(mapping: *mut u8, length: usize) {
    for offset in (0..length).step_by(4096) {
        // SAFETY: within the mapping, which only other touches of the same value write to.
        unsafe { mapping.add(offset).write_volatile(1) };
    }
}

/// `kill(2)` of this process
pub(crate) fn kill_self(signal: i32) -> io::Result<()> {
    // SAFETY: sends a signal to this process, on which no other process depends.
    check(unsafe { libc::kill(libc::getpid(), signal) })
}

/// `getpid(2)`, always as a system call, as a C library may cache the result
pub(crate) fn getpid() -> u32 {
    // SAFETY: takes no argument and cannot fail.
    unsafe { libc::syscall(libc::SYS_getpid) as u32 }
}

/// `getppid(2)`
pub(crate) fn getppid() -> u32 {
    // SAFETY: takes no argument and cannot fail.
    unsafe { libc::getppid() as u32 }
}

/// How a child ended, and its resource usage.
pub(crate) struct Ended {
    /// The code, if it exited by itself.
    pub(crate) exit_code: Option<i32>,
    /// The signal, if one killed it.
    pub(crate) signal: Option<i32>,
    /// User and system time, ns.
    pub(crate) cpu_ns: u64,
    /// Largest resident set, bytes.
    pub(crate) max_rss_bytes: u64,
}

/// `wait4(2)`
pub(crate) fn wait(pid: u32) -> io::Result<Ended> {
    let mut status = 0;
    // SAFETY: rusage consists of numbers, for which zero is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the type that the kernel writes.
    check(unsafe { libc::wait4(pid as i32, &mut status, 0, &mut usage) })?;
    let nanoseconds = |t: libc::timeval| t.tv_sec as u64 * 1_000_000_000 + t.tv_usec as u64 * 1000;
    Ok(Ended {
        exit_code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        cpu_ns: nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime),
        max_rss_bytes: usage.ru_maxrss as u64 * 1024,
    })
}

/// CPU time of this process so far, in ns. It is a system call, as the vDSO does not support this clock.
pub(crate) fn cpu_ns() -> io::Result<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live local of the type that the kernel writes.
    check(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) })?;
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// When the kernel's boot clock was zero, ns since the Unix epoch.
pub(crate) fn boot_ns() -> io::Result<u64> {
    let mut nanoseconds = [0; 2];
    for (clock, value) in [libc::CLOCK_REALTIME, libc::CLOCK_BOOTTIME]
        .into_iter()
        .zip(&mut nanoseconds)
    {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointer is to a live local of the type that the kernel writes.
        check(unsafe { libc::clock_gettime(clock, &mut time) })?;
        *value = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
    }
    Ok(nanoseconds[0] - nanoseconds[1])
}

/// Inode of an open file. It is part of the name of a pipe.
pub(crate) fn inode(file: &impl AsRawFd) -> io::Result<u64> {
    // SAFETY: stat consists of numbers, for which zero is valid.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local of the type that the kernel writes.
    check(unsafe { libc::fstat(file.as_raw_fd(), &mut stat) })?;
    Ok(stat.st_ino)
}

/// `openat(2)` for reading, then `close(2)`
pub(crate) fn open_close(path: &CString) -> io::Result<()> {
    // SAFETY: the string ends in NUL and outlives the call.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) };
    count(fd as isize)?;
    // SAFETY: the descriptor is new, and nothing else owns it.
    check(unsafe { libc::close(fd) })
}

/// `prctl(PR_SET_NAME)`: sets the name of this thread, and of the process if it is the first thread
pub(crate) fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: the string ends in NUL and outlives the call, which copies it.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) })
}

/// `prctl(PR_GET_NAME)`
pub(crate) fn name() -> io::Result<CString> {
    let mut name = [0_u8; 16];
    // SAFETY: the kernel writes 16 bytes at most, the last of them NUL, into a live local of that size.
    check(unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) })?;
    CStr::from_bytes_until_nul(&name)
        .map(CStr::to_owned)
        .map_err(io::Error::other)
}

/// `prctl(PR_SET_PDEATHSIG)`: kills this process when its parent thread ends. An `exec` keeps the
/// setting.
pub(crate) fn die_with_parent() -> io::Result<()> {
    // SAFETY: sets an attribute of this process and touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })
}
