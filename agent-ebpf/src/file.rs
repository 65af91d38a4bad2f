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

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel, macros::map, maps::HashMap};
use bubble_common::kernel::{
    file::{FileKey, FileLast, FileOffsets, FileSum, OTHER, UNKNOWN},
    loss::Cause,
    process::ProcessKey,
    recent::{BUSY, Core, side},
};

use crate::{
    bound::in_order,
    btf::{self, Kernel, Offset, as_file, can_cast, load, offset},
    file_line,
    file_path::{self, Place, file_number},
    generation::{self, sum},
    loss::lost,
    network_exit, running,
};

#[map]
static FILES_0: HashMap<FileKey, FileSum> = HashMap::with_max_entries(32_768, 0);
#[map]
static FILES_1: HashMap<FileKey, FileSum> = HashMap::with_max_entries(32_768, 0);

/// What found no room above, by process: so a process that opens a million files stays exact.
#[map]
static FILE_OTHERS_0: HashMap<ProcessKey, FileSum> = HashMap::with_max_entries(16_384, 0);
#[map]
static FILE_OTHERS_1: HashMap<ProcessKey, FileSum> = HashMap::with_max_entries(16_384, 0);

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
    /// Reads the field `at` of what is at `base`; zero when it cannot be read.
    fn read<T: Copy>(base: Kernel, at: impl Offset) -> T;

    /// Reads two fields that follow each other, of which `at` is the first: by as few reads as it takes.
    fn pair<T: Copy>(base: Kernel, at: impl Offset) -> [T; 2];

    /// The pointer as a number: see [`btf::address`].
    fn address(pointer: Kernel) -> u64;
}

/// The verifier knows the type.
pub struct Typed;
/// The verifier does not.
pub struct Untyped;

impl Access for Typed {
    #[inline(always)]
    fn read<T: Copy>(base: Kernel, at: impl Offset) -> T {
        // SAFETY: as the name says; `btf::load` asks for no more.
        unsafe { load(base, at) }
    }

    #[inline(always)]
    fn pair<T: Copy>(base: Kernel, at: impl Offset) -> [T; 2] {
        // A load is of one field.
        [
            Self::read(base, at),
            Self::read(base.wrapping_add(size_of::<T>()), at),
        ]
    }

    #[inline(always)]
    fn address(pointer: Kernel) -> u64 {
        btf::address(pointer)
    }
}

impl Access for Untyped {
    #[inline(always)]
    fn read<T: Copy>(base: Kernel, at: impl Offset) -> T {
        Self::at(base.wrapping_add(at.bytes() as usize))
    }

    #[inline(always)]
    fn pair<T: Copy>(base: Kernel, at: impl Offset) -> [T; 2] {
        Self::read(base, at)
    }

    #[inline(always)]
    fn address(pointer: Kernel) -> u64 {
        pointer as u64
    }
}

impl Untyped {
    /// Reads what is at this address of the kernel's; zero when it cannot be read.
    #[inline(always)]
    pub fn at<T: Copy>(address: Kernel) -> T {
        let mut value = core::mem::MaybeUninit::<T>::uninit();
        // SAFETY: the helper takes any address, and writes zeros when it cannot read there; all that
        // is read are integers and addresses, for which zero is good. Its answer is not looked at: each
        // look would double the ways that the verifier has to follow.
        unsafe {
            bpf_probe_read_kernel(
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
                address.cast(),
            );
            value.assume_init()
        }
    }
}

/// What was done to a file.
#[derive(Clone, Copy)]
struct Done {
    /// Into the process or out of it.
    direction: u32,
    /// Bytes moved.
    bytes: u64,
    /// Calls that moved them.
    ops: u64,
    /// Times it was opened.
    opens: u64,
}

impl Done {
    #[inline(always)]
    const fn moved(direction: u32, bytes: u64) -> Self {
        Self {
            direction,
            bytes,
            ops: 1,
            opens: 0,
        }
    }
}

/// Adds to what is among the last files of this core; false where `file` is none of them.
///
/// # Safety
/// `core` is this core's value of the map.
#[inline(always)]
unsafe fn add_to_last<A: Access>(core: *mut Core, file: Kernel, done: &Done) -> bool {
    let [mount, dentry]: [Kernel; 2] = A::pair(file, offset!(FileOffsets, file_path));
    // The name's length is not looked at here: with the place and the hash it is the same.
    let hash: u32 = A::read(dentry, offset!(FileOffsets, dentry_name));
    let generation = generation::current();
    let index = running::last_index(side(generation, done.direction), hash.into());
    // SAFETY: the caller's promise; the mark keeps others out.
    unsafe {
        let last: *mut FileLast = (&raw mut (*core).files).cast::<FileLast>().add(index);
        let mark = &raw mut (*last).generation;
        if core::ptr::read_volatile(mark) != generation {
            return false;
        }
        core::ptr::write_volatile(mark, BUSY);
        in_order();
        let is_last = (*last).dentry == dentry as u64
            && (*last).mount == mount as u64
            && first_half(&raw const (*last).name) == hash
            && running::is_same(&(*last).key.process, &(*core).running.key)
            // What is open was looked at when it was opened: its directory has not become another.
            && (done.opens == 0 || {
                let parent: Kernel = A::read(dentry, offset!(FileOffsets, dentry_parent));
                let hash: u32 = A::read(parent, offset!(FileOffsets, dentry_name));
                first_half(&raw const (*last).parent) == hash
            });
        if is_last {
            (*last).bytes += done.bytes;
            (*last).ops += done.ops;
            (*last).opens += done.opens;
            if done.opens == 0 {
                file_line::offer(last, done.direction);
            }
        }
        in_order();
        core::ptr::write_volatile(mark, generation);
        is_last
    }
}

/// The hash of what [`file_path::name_of`] says.
///
/// # Safety
/// `name` may be read.
#[inline(always)]
pub unsafe fn first_half(name: *const u64) -> u32 {
    // SAFETY: the caller's promise; little-endian.
    unsafe { name.cast::<u32>().read() }
}

/// Counts `bytes` that the process running on `core` moved between itself and `file`.
#[inline(always)]
pub fn moved<A: Access>(core: *mut Core, file: Kernel, direction: u32, bytes: u64) {
    // SAFETY: our callers have it from `counted_core`.
    if !unsafe { add_to_last::<A>(core, file, &Done::moved(direction, bytes)) } {
        file_moved(A::address(file), direction, bytes);
    }
}

/// Like [`moved`], of a file that the verifier does not know.
#[inline(always)]
pub fn moved_by_any(core: *mut Core, file: Kernel, direction: u32, bytes: u64) {
    if can_cast() {
        moved::<Typed>(core, as_file(file), direction, bytes);
    } else {
        moved::<Untyped>(core, file, direction, bytes);
    }
}

/// Counts that the process running on `core` opened `file`.
#[inline(always)]
pub fn opened<A: Access>(core: *mut Core, file: Kernel) {
    let done = Done {
        direction: IN,
        bytes: 0,
        ops: 0,
        opens: 1,
    };
    // SAFETY: our callers have it from `counted_core`.
    if !unsafe { add_to_last::<A>(core, file, &done) } {
        file_another(A::address(file), IN, 0, 0, 1);
    }
}

/// Like [`opened`], of a file that the verifier does not know.
#[inline(always)]
pub fn opened_by_any(core: *mut Core, file: Kernel) {
    if can_cast() {
        opened::<Typed>(core, as_file(file));
    } else {
        opened::<Untyped>(core, file);
    }
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
        let done = Done {
            direction,
            bytes,
            ops,
            opens,
        };
        add(generation::current(), &key, &done);
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
    let place = file_path::place::<Untyped>(file as Kernel);
    let key = FileKey {
        process,
        file: file_number(&place),
    };
    add(generation::current(), &key, &Done::moved(direction, bytes));
    0
}

/// The long way: looks well at the file, tells its path at first sight, and keeps it as one of this core's last.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn file_another(file: u64, direction: u32, bytes: u64, ops: u64, opens: u64) -> u32 {
    let Some(core) = running::counted_core() else {
        return 0;
    };
    let done = Done {
        direction,
        bytes,
        ops,
        opens,
    };
    let file = file as Kernel;
    let place = if can_cast() {
        file_path::place::<Typed>(as_file(file))
    } else {
        file_path::place::<Untyped>(file)
    };
    // SAFETY: this core's value of the map.
    unsafe { remember(core, generation::current(), &place, &done) };
    0
}

/// Adds to what this core did lately.
///
/// # Safety
/// `core` is this core's value of the map.
#[inline(always)]
unsafe fn remember(core: *mut Core, generation: u64, place: &Place, done: &Done) {
    let index = running::last_index(side(generation, done.direction), place.name);
    // SAFETY: the caller's promise; what may preempt us sees the mark.
    unsafe {
        let last: *mut FileLast = (&raw mut (*core).files).cast::<FileLast>().add(index);
        let process = &(*core).running.key;
        let mark = &raw mut (*last).generation;
        let old = core::ptr::read_volatile(mark);
        if old == BUSY {
            let key = FileKey {
                process: *process,
                file: file_number(place),
            };
            add(generation, &key, done);
            return;
        }
        core::ptr::write_volatile(mark, BUSY);
        in_order();
        if old == generation && is_last(&*last, process, place) {
            (*last).bytes += done.bytes;
            (*last).ops += done.ops;
            (*last).opens += done.opens;
        } else {
            let file = file_number(place);
            if old == generation {
                let sum = Done {
                    direction: done.direction,
                    bytes: (*last).bytes,
                    ops: (*last).ops,
                    opens: (*last).opens,
                };
                add(generation, &(*last).key, &sum);
            }
            (*last).mount = place.mount;
            (*last).dentry = place.dentry;
            (*last).name = place.name;
            (*last).parent = place.parent;
            (*last).key = FileKey {
                process: *process,
                file,
            };
            (*last).bytes = done.bytes;
            (*last).ops = done.ops;
            (*last).opens = done.opens;
        }
        in_order();
        core::ptr::write_volatile(mark, generation);
    }
}

/// Whether it is this process and this file.
#[inline(always)]
fn is_last(last: &FileLast, process: &ProcessKey, place: &Place) -> bool {
    last.mount == place.mount
        && last.dentry == place.dentry
        && last.name == place.name
        && last.parent == place.parent
        && running::is_same(&last.key.process, process)
}

/// Whether a file is a socket.
#[inline(always)]
pub fn is_socket(file: Kernel) -> bool {
    let mode = if can_cast() {
        mode_of::<Typed>(as_file(file))
    } else {
        mode_of::<Untyped>(file)
    };
    mode & TYPE_MASK == SOCKET
}

#[inline(always)]
fn mode_of<A: Access>(file: Kernel) -> u16 {
    let inode: Kernel = A::read(file, offset!(FileOffsets, file_inode));
    A::read(inode, offset!(FileOffsets, inode_mode))
}

/// Adds to the map: the file's sum, or the process's for what finds no room.
#[inline(always)]
fn add(generation: u64, key: &FileKey, done: &Done) {
    let place = side(generation, done.direction);
    file_add(key, place, done.bytes, done.ops, done.opens);
}

/// `place` is [`side`]: the generation, and the direction.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn file_add(
    key: *const FileKey,
    place: u64,
    bytes: u64,
    ops: u64,
    opens: u64,
) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: `add` hands over a reference.
    let key = unsafe { *key };
    let (generation, direction) = (place >> 1, place as u32 & 1);
    let none = FileSum::default();
    let mut sum = None;
    if key.file != OTHER {
        sum = sum!(FILES_0, FILES_1, generation, &key, &none);
    }
    if sum.is_none() {
        sum = sum!(
            FILE_OTHERS_0,
            FILE_OTHERS_1,
            generation,
            &key.process,
            &none
        );
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
