//! Files: bytes, operations and opens by process and file.
//!
//! The hooks (`file_vfs` or `syscall`, and `uring`) say which file and how much;
//! here it is summed, by one rule for all. What the same process does to the same
//! file again and again is added to one of this core's [`FileLast`], and goes to the
//! map when another takes its place: the map costs more than all the rest.
//!
//! A file is told from others by where it is (mount, directory entry) and by the
//! hashes of its name and its directory's: addresses are used again after a file
//! is gone. Of these a number is made, under which its path is told, once
//! (`file_path`). Sockets are left to `network`, so that no byte counts twice.
//!
//! What is read or written through memory mappings is not seen by any hook.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{
    helpers::generated::bpf_probe_read_kernel,
    macros::map,
    maps::{HashMap, PerCpuArray},
};
use bubble_common::kernel::{
    file::{FileKey, FileLast, FileOffsets, FileSum, OTHER, UNKNOWN},
    loss::Cause,
    process::ProcessKey,
    recent::{self, side},
};

use crate::{
    btf::{self, Kernel, load, offset},
    file_path::{self, Place, file_number},
    generation,
    loss::lost,
    network_exit,
    running::{self, Running},
};

/// Where the fields of files are.
#[unsafe(no_mangle)]
static FILE: FileOffsets = FileOffsets::NONE;

/// The offsets of files; take single fields by `offset!`.
#[inline(always)]
pub fn offsets() -> *const FileOffsets {
    &raw const FILE
}

#[map]
static FILES_0: HashMap<FileKey, FileSum> = HashMap::with_max_entries(32_768, 0);
#[map]
static FILES_1: HashMap<FileKey, FileSum> = HashMap::with_max_entries(32_768, 0);

/// What found no room above, by process: so a process that opens a million files stays exact.
#[map]
static FILE_OTHERS_0: HashMap<ProcessKey, FileSum> = HashMap::with_max_entries(16_384, 0);
#[map]
static FILE_OTHERS_1: HashMap<ProcessKey, FileSum> = HashMap::with_max_entries(16_384, 0);

#[map]
static FILE_LAST: PerCpuArray<FileLast> = PerCpuArray::with_max_entries(recent::COUNT, 0);

/// Into the process.
pub const IN: u32 = 0;
/// Out of the process.
pub const OUT: u32 = 1;

/// `S_IFMT` and `S_IFSOCK` of `linux/stat.h`.
const TYPE_MASK: u16 = 0o170_000;
const SOCKET: u16 = 0o140_000;

/// How a field of the kernel's is read: by a plain load where the verifier knows
/// the type of the pointer, else by a helper.
pub trait Access {
    /// Reads a `T` at `base + offset`; zero when it cannot be read.
    fn read<T: Copy>(base: Kernel, offset: u32) -> T;

    /// Reads two fields that follow each other: by as few reads as it takes.
    fn pair<T: Copy>(base: Kernel, offset: u32) -> [T; 2];

    /// The pointer as a number: see [`btf::address`].
    fn address(pointer: Kernel) -> u64;
}

/// The verifier knows the type.
pub struct Typed;
/// The verifier does not.
pub struct Untyped;

impl Access for Typed {
    #[inline(always)]
    fn read<T: Copy>(base: Kernel, offset: u32) -> T {
        // SAFETY: as the name says; `btf::load` asks for no more.
        unsafe { load(base, offset) }
    }

    #[inline(always)]
    fn pair<T: Copy>(base: Kernel, offset: u32) -> [T; 2] {
        // A load is of one field.
        [
            Self::read(base, offset),
            Self::read(base, offset + size_of::<T>() as u32),
        ]
    }

    #[inline(always)]
    fn address(pointer: Kernel) -> u64 {
        btf::address(pointer)
    }
}

impl Access for Untyped {
    #[inline(always)]
    fn read<T: Copy>(base: Kernel, offset: u32) -> T {
        let mut value = core::mem::MaybeUninit::<T>::uninit();
        // SAFETY: the helper takes any address, and writes zeros when it cannot read there; all that
        // is read are integers and addresses, for which zero is good. Its answer is not looked at: each
        // look would double the ways that the verifier has to follow.
        unsafe {
            bpf_probe_read_kernel(
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
                base.wrapping_add(offset as usize).cast(),
            );
            value.assume_init()
        }
    }

    #[inline(always)]
    fn pair<T: Copy>(base: Kernel, offset: u32) -> [T; 2] {
        Self::read(base, offset)
    }

    #[inline(always)]
    fn address(pointer: Kernel) -> u64 {
        pointer as u64
    }
}

/// What is added.
struct Amount {
    /// Bytes moved.
    bytes: u64,
    /// Calls that moved them.
    ops: u64,
    /// Times it was opened.
    opens: u64,
}

/// Counts `bytes` that the process running here moved between itself and `file`.
#[inline(always)]
pub fn moved<A: Access>(file: Kernel, direction: u32, bytes: u64) -> Option<()> {
    let running = running::counted()?;
    let [mount, dentry]: [Kernel; 2] = A::pair(file, offset!(offsets(), file_path));
    // The name's length is not looked at here: with the place and the hash it is the same.
    let hash: u32 = A::read(dentry, offset!(offsets(), dentry_name));
    let side = side(generation::second(), direction);
    let last = FILE_LAST.get_ptr_mut(recent::index(side, hash.into()))?;
    // SAFETY: this core's value of the map, and `busy` keeps others out.
    unsafe {
        if (*last).busy == 0
            && (*last).dentry == dentry as u64
            && (*last).mount == mount as u64
            && (*last).name as u32 == hash
            && (*last).key.process == running.key
        {
            (*last).bytes += bytes;
            (*last).ops += 1;
            return Some(());
        }
    }
    file_moved(A::address(file), direction, bytes);
    Some(())
}

/// What is not among the last files of this core: another, or a socket.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn file_moved(file: u64, direction: u32, bytes: u64) -> u32 {
    if !is_socket(file as Kernel) {
        return file_another(file, direction, bytes, 1, 0);
    }
    if let Some(running) = running::counted() {
        network_exit::count(file, &running.key, direction, bytes);
    }
    0
}

/// Like [`moved`], for calls that are rare, of a file that the verifier does not know.
#[inline(always)]
pub fn moved_rarely(file: Kernel, direction: u32, bytes: u64) {
    file_moved(file as u64, direction, bytes);
}

/// Counts that the process running here opened `file`, which the verifier does not know.
#[inline(always)]
pub fn opened(file: Kernel) {
    file_another(file as u64, IN, 0, 0, 1);
}

/// Counts bytes of a file whose descriptor is closed by now.
#[inline(always)]
pub fn moved_unknown(direction: u32, bytes: u64) {
    file_unknown(direction, bytes, 1, 0);
}

/// Counts that a file was opened whose descriptor is closed by now.
#[inline(always)]
pub fn opened_unknown() {
    file_unknown(IN, 0, 0, 1);
}

/// Counts what was done to a file whose descriptor is closed by now.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn file_unknown(direction: u32, bytes: u64, ops: u64, opens: u64) -> u32 {
    if let Some(running) = running::counted() {
        let key = FileKey {
            process: running.key,
            file: UNKNOWN,
        };
        let amount = Amount { bytes, ops, opens };
        add(generation::second(), &key, direction, &amount);
        lost(Cause::PATH, bytes);
    }
    0
}

/// Counts bytes that `process`, which does not run here, moved between itself and `file`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn file_elsewhere(
    process: *const ProcessKey,
    file: u64,
    direction: u32,
    bytes: u64,
) -> u32 {
    if process.is_null() {
        return 0;
    }
    // SAFETY: our callers hand over a reference.
    let process = unsafe { *process };
    if running::is_ignored(process.cgroup) {
        return 0;
    }
    if is_socket(file as Kernel) {
        network_exit::count(file, &process, direction, bytes);
        return 0;
    }
    let place = file_path::place(file as Kernel);
    let key = FileKey {
        process,
        file: file_number(&place),
    };
    let amount = Amount {
        bytes,
        ops: 1,
        opens: 0,
    };
    add(generation::second(), &key, direction, &amount);
    0
}

/// The long way: looks well at the file, tells its path at first sight, and keeps it as one of this core's last.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn file_another(file: u64, direction: u32, bytes: u64, ops: u64, opens: u64) -> u32 {
    let Some(running) = running::counted() else {
        return 0;
    };
    let second = generation::second();
    let place = file_path::place(file as Kernel);
    let index = recent::index(side(second, direction), place.name);
    let Some(last) = FILE_LAST.get_ptr_mut(index) else {
        return 0;
    };
    let amount = Amount { bytes, ops, opens };
    // SAFETY: this core's value of the map; what may preempt us sees `busy`.
    unsafe {
        let busy = (*last).busy != 0;
        if !busy {
            core::ptr::write_volatile(&raw mut (*last).busy, 1);
            if is_last(last, running, &place) {
                (*last).bytes += bytes;
                (*last).ops += ops;
                (*last).opens += opens;
                core::ptr::write_volatile(&raw mut (*last).busy, 0);
                return 0;
            }
        }
        let key = FileKey {
            process: running.key,
            file: file_number(&place),
        };
        if busy {
            add(second, &key, direction, &amount);
            return 0;
        }
        flush(second, direction, last);
        (*last).used = 1;
        (*last).mount = place.mount;
        (*last).dentry = place.dentry;
        (*last).name = place.name;
        (*last).parent = place.parent;
        (*last).key = key;
        (*last).bytes = bytes;
        (*last).ops = ops;
        (*last).opens = opens;
        core::ptr::write_volatile(&raw mut (*last).busy, 0);
    }
    0
}

/// Whether it is this process and this file.
///
/// # Safety
/// `last` is this core's value.
#[inline(always)]
unsafe fn is_last(last: *const FileLast, running: &Running, place: &Place) -> bool {
    // SAFETY: the caller's promise.
    let last = unsafe { &*last };
    last.key.process == running.key
        && last.mount == place.mount
        && last.dentry == place.dentry
        && last.name == place.name
        && last.parent == place.parent
}

/// Whether a file is a socket.
#[inline(always)]
pub fn is_socket(file: Kernel) -> bool {
    let inode: Kernel = Untyped::read(file, offset!(offsets(), file_inode));
    let mode: u16 = Untyped::read(inode, offset!(offsets(), inode_mode));
    mode & TYPE_MASK == SOCKET
}

/// Brings to the map what this core did lately.
///
/// # Safety
/// `last` is this core's value, and marked busy.
#[inline(always)]
unsafe fn flush(second: bool, direction: u32, last: *mut FileLast) {
    // SAFETY: the caller's promise.
    let last = unsafe { &*last };
    if last.used == 0 {
        return;
    }
    let amount = Amount {
        bytes: last.bytes,
        ops: last.ops,
        opens: last.opens,
    };
    add(second, &last.key, direction, &amount);
}

/// Adds to the map: the file's sum, or the process's for what finds no room.
#[inline(always)]
fn add(second: bool, key: &FileKey, direction: u32, amount: &Amount) {
    let Amount { bytes, ops, opens } = *amount;
    file_add(key, side(second, direction), bytes, ops, opens);
}

/// `place` is [`side`]: the generation, and the direction.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn file_add(key: *const FileKey, place: u32, bytes: u64, ops: u64, opens: u64) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: `add` hands over a reference.
    let key = unsafe { *key };
    let (second, direction) = (place & 2 != 0, place & 1);
    let none = FileSum::default();
    let mut sum = None;
    if key.file != OTHER {
        sum = if second {
            generation::entry(&FILES_1, &key, &none)
        } else {
            generation::entry(&FILES_0, &key, &none)
        };
    }
    if sum.is_none() {
        sum = if second {
            generation::entry(&FILE_OTHERS_1, &key.process, &none)
        } else {
            generation::entry(&FILE_OTHERS_0, &key.process, &none)
        };
    }
    let Some(sum) = sum else {
        lost(Cause::FILE, bytes);
        return 0;
    };
    // SAFETY: a pointer into the map's value, which other cores add to as well.
    unsafe {
        if direction == IN {
            atomic_add(&raw mut (*sum).bytes_in, bytes);
            atomic_add(&raw mut (*sum).ops_in, ops);
        } else {
            atomic_add(&raw mut (*sum).bytes_out, bytes);
            atomic_add(&raw mut (*sum).ops_out, ops);
        }
        if opens != 0 {
            atomic_add(&raw mut (*sum).opens, opens);
        }
    }
    0
}

/// Adds to a number that other cores add to as well.
///
/// # Safety
/// `number` is in the value of a map.
#[inline(always)]
pub unsafe fn atomic_add(number: *mut u64, amount: u64) {
    // SAFETY: the caller's promise; the values of maps are aligned.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(number, amount) };
}
