//! System calls that few programs use, one function each, as in `sys`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::sys::{self, check, count};

/// `recvfrom(2)` with an address for the sender that cannot be written: the error
pub(crate) fn recv_without_address(from: &impl AsRawFd, buffer: &mut [u8]) -> Option<i32> {
    let (pointer, nowhere) = (
        buffer.as_mut_ptr().cast(),
        std::ptr::without_provenance_mut(1),
    );
    let mut length: libc::socklen_t = 16;
    let fd = from.as_raw_fd();
    // SAFETY: the buffer is live and writable; the kernel refuses the address.
    let result = unsafe { libc::recvfrom(fd, pointer, buffer.len(), 0, nowhere, &raw mut length) };
    count(result).err().and_then(|error| error.raw_os_error())
}

/// `io_setup(2)`: a queue of asynchronous requests, which lives until the process exits
pub(crate) fn aio_setup(entries: u32) -> io::Result<u64> {
    let mut queue = 0_u64;
    // SAFETY: the kernel writes the queue's number.
    check(unsafe { libc::syscall(libc::SYS_io_setup, entries, &raw mut queue) } as i32)?;
    Ok(queue)
}

/// Operations of `linux/aio_abi.h`: plain, and with vectors.
pub(crate) const AIO_READ: [u16; 2] = [0, 7];
/// Likewise, to write.
pub(crate) const AIO_WRITE: [u16; 2] = [1, 8];

/// `struct iocb` of `linux/aio_abi.h`, little-endian.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    flags: u32,
    operation: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: u64,
    unused: [u64; 2],
}

/// `io_submit(2)` of one request and `io_getevents(2)` of its result
pub(crate) fn aio_request(
    queue: u64,
    fd: i32,
    operation: u16,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<u64> {
    let vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let is_plain = operation == AIO_READ[0] || operation == AIO_WRITE[0];
    let mut request = Iocb {
        operation,
        fd: fd as u32,
        buffer: if is_plain {
            vector.iov_base as u64
        } else {
            &raw const vector as u64
        },
        bytes: if is_plain { vector.iov_len as u64 } else { 1 },
        offset,
        ..Iocb::default()
    };
    let mut requests = [&raw mut request];
    // SAFETY: request and buffer live until the result has arrived.
    count(unsafe { libc::syscall(libc::SYS_io_submit, queue, 1, requests.as_mut_ptr()) } as isize)?;
    let mut event = [0_u64; 4];
    let none = std::ptr::null_mut::<libc::timespec>();
    // SAFETY: the kernel writes one event.
    count(unsafe {
        libc::syscall(
            libc::SYS_io_getevents,
            queue,
            1,
            1,
            event.as_mut_ptr(),
            none,
        )
    } as isize)?;
    let result = event[2] as i64;
    u64::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result as i32))
}

/// `mmap(2)` of a file: writes `value` to each byte, and returns the sum of all
pub(crate) fn through_mapping(file: &impl AsRawFd, length: usize, value: u8) -> io::Result<u64> {
    let (access, null) = (libc::PROT_READ | libc::PROT_WRITE, std::ptr::null_mut());
    let fd = file.as_raw_fd();
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let start = unsafe { libc::mmap(null, length, access, libc::MAP_SHARED, fd, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping has this length, the file too, and nothing else uses them.
    let bytes = unsafe { std::slice::from_raw_parts_mut(start.cast::<u8>(), length) };
    bytes.fill(value);
    let sum = bytes.iter().map(|byte| u64::from(*byte)).sum();
    // SAFETY: the slice is not used any more.
    check(unsafe { libc::munmap(start, length) })?;
    Ok(sum)
}

/// Removes the pages of a file from the page cache, maps it, and reads one byte of each `stride`th page
/// without reading ahead. Returns the number of pages
pub(crate) fn pages_not_cached(
    file: &impl AsRawFd,
    length: usize,
    stride: usize,
) -> io::Result<u64> {
    let (fd, null) = (file.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: no memory is passed.
    let error = unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let start = unsafe { libc::mmap(null, length, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping has this length.
    check(unsafe { libc::madvise(start, length, libc::MADV_RANDOM) })?;
    let step = stride * sys::page_size() as usize;
    let mut pages = 0;
    for offset in (0..length).step_by(step) {
        // SAFETY: within the mapping, and the file has this length. Volatile, as the byte is not used.
        unsafe { start.cast::<u8>().add(offset).read_volatile() };
        pages += 1;
    }
    // SAFETY: the mapping is not used any more.
    check(unsafe { libc::munmap(start, length) })?;
    Ok(pages)
}

/// A socket of IPv4 with `IPPROTO_MPTCP`
pub(crate) fn multipath_socket() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP) };
    check(fd)?;
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A socket of IPv4 for TCP
pub(crate) fn tcp_socket() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    check(fd)?;
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn ipv4(address: SocketAddr) -> libc::sockaddr_in {
    let SocketAddr::V4(address) = address else {
        unreachable!("the sockets are of IPv4")
    };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*address.ip()).to_be(),
        },
        sin_zero: [0; 8],
    }
}

const IPV4_LENGTH: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

/// A listener with `IPPROTO_MPTCP` on a free port of 127.0.0.1
pub(crate) fn multipath_listener() -> io::Result<OwnedFd> {
    let socket = multipath_socket()?;
    let address = ipv4((Ipv4Addr::LOCALHOST, 0).into());
    // SAFETY: an address of that length.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), IPV4_LENGTH) })?;
    // SAFETY: no memory is passed.
    check(unsafe { libc::listen(socket.as_raw_fd(), 8) })?;
    Ok(socket)
}

/// `connect(2)` to an address of IPv4
pub(crate) fn connect(socket: &impl AsRawFd, to: SocketAddr) -> io::Result<()> {
    let address = ipv4(to);
    // SAFETY: an address of that length.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), IPV4_LENGTH) })
}

/// `sendfile64` of 32-bit programs, from the current position of the file
pub(crate) fn narrow_sendfile(
    to: &impl AsRawFd,
    from: &impl AsRawFd,
    length: usize,
) -> io::Result<u64> {
    const SENDFILE64: u64 = 239;
    let result: u64;
    // SAFETY: the entry for 32-bit programs takes its arguments in ebx, ecx, edx and esi. None is an
    // address. rbx is restored, as the compiler does not allow to name it.
    unsafe {
        std::arch::asm!(
            "xchg {to}, rbx",
            "int 0x80",
            "xchg {to}, rbx",
            to = inout(reg) to.as_raw_fd() as u64 => _,
            inlateout("rax") SENDFILE64 => result,
            in("rcx") from.as_raw_fd() as u64,
            in("rdx") 0_u64,
            in("rsi") length as u64,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    let result = result as i32;
    u64::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
