//! Commands of bpf(2) about objects of the kernel that outlive a descriptor: pins, and memory that is
//! shared with the next agent; and the reading of an iterator.
//!
//! Layouts: Linux `include/uapi/linux/bpf.h` (`union bpf_attr`).

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::bpf::bpf;

const MAP_CREATE: libc::c_int = 0;
const OBJECT_PIN: libc::c_int = 6;
const OBJECT_GET: libc::c_int = 7;
const LINK_CREATE: libc::c_int = 28;
const ITERATOR_CREATE: libc::c_int = 33;

const TYPE_ARRAY: u32 = 2;
/// `BPF_F_MMAPABLE`.
const MAPPABLE: u32 = 1 << 10;
/// `BPF_TRACE_ITER`.
const ATTACH_ITERATOR: u32 = 28;
/// Size of an element of shared memory: a page.
const PAGE: u32 = 4096;

fn owned(result: io::Result<i32>) -> io::Result<OwnedFd> {
    // SAFETY: the kernel has just returned this descriptor; nothing else owns it.
    result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

fn terminated(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Gives a map, a program or a link a name in a BPF file system: it exists as long as the name.
///
/// # Errors
/// When the kernel refuses.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = terminated(path)?;
    let mut attr = Object {
        path: path.as_ptr() as u64,
        fd: number(object),
        flags: 0,
    };
    // SAFETY: `path` is a string that ends with NUL.
    unsafe { bpf(OBJECT_PIN, &mut attr) }.map(drop)
}

/// Opens what is pinned at `path`.
///
/// # Errors
/// When the kernel refuses.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = terminated(path)?;
    let mut attr = Object {
        path: path.as_ptr() as u64,
        fd: 0,
        flags: 0,
    };
    // SAFETY: `path` is a string that ends with NUL.
    owned(unsafe { bpf(OBJECT_GET, &mut attr) })
}

#[repr(C)]
struct Create {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

/// Creates memory of `bytes` bytes, zeroed, that processes can map.
///
/// # Errors
/// When the kernel refuses.
pub fn create_memory(bytes: usize) -> io::Result<OwnedFd> {
    let mut attr = Create {
        map_type: TYPE_ARRAY,
        key_size: 4,
        value_size: PAGE,
        max_entries: bytes.div_ceil(PAGE as usize) as u32,
        flags: MAPPABLE,
    };
    // SAFETY: `attr` has no addresses.
    owned(unsafe { bpf(MAP_CREATE, &mut attr) })
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct IteratorCreate {
    link: u32,
    flags: u32,
}

/// Runs the program of an iterator over all its objects. It must write nothing to the iterator's file.
///
/// # Errors
/// When the kernel refuses.
pub fn iterate(program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = LinkCreate {
        program: number(program),
        target: 0,
        attach_type: ATTACH_ITERATOR,
        flags: 0,
    };
    // SAFETY: `attr` has no addresses.
    let link = owned(unsafe { bpf(LINK_CREATE, &mut attr) })?;
    let mut attr = IteratorCreate {
        link: link.as_raw_fd() as u32,
        flags: 0,
    };
    // SAFETY: `attr` has no addresses.
    let mut file = File::from(owned(unsafe { bpf(ITERATOR_CREATE, &mut attr) })?);
    let mut text = [0; 64];
    while file.read(&mut text)? != 0 {}
    Ok(())
}
