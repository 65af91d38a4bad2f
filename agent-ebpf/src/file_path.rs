//! Which file a file is, and its path as the process sees it.
//!
//! The path is put together from the names of directory entries, from the file
//! up to the root of the process, over mounts: `bpf_d_path` may be called from a
//! handful of functions only. It is written from its end, so that what does not
//! fit is its beginning.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    cty::c_void,
    helpers::{
        bpf_ringbuf_output,
        generated::{bpf_loop, bpf_probe_read_kernel as probe_read},
    },
    macros::map,
    maps::{HashMap, PerCpuArray, RingBuf},
};
use bubble_common::kernel::{
    file::{FIRST, FileOffsets, FileRecord, OTHER, PATH_MAX, SOCKET_MAGIC},
    loss::Cause,
};

use crate::{
    bound::masked,
    btf::{Kernel, Offset as _, offset},
    file::{Access, Untyped, atomic_add},
    generation::{self, sum},
    loss::lost,
    running,
};

/// The files whose paths were told. The agent takes out those that it forgets.
#[map]
static FILE_SEEN: HashMap<u64, u32> = HashMap::with_max_entries(16_384, 0);

/// New paths of each cgroup in this second.
#[map]
static FILE_NEW_0: HashMap<u64, u64> = HashMap::with_max_entries(16_384, 0);
#[map]
static FILE_NEW_1: HashMap<u64, u64> = HashMap::with_max_entries(16_384, 0);

/// Most new paths of a cgroup in a second: one that opens files by the ten thousand leaves room in
/// [`FILE_SEEN`] for those of others. Far above what a second keeps of them.
const SHARE: u64 = 4_096;

/// Paths have a ring of their own: many new ones must not push out the ends of processes.
#[map]
static FILE_PATHS: RingBuf = RingBuf::with_byte_size(4 * 1024 * 1024, 0);

/// Bytes waiting from which on the agent is woken.
const WAKE_AT: u64 = 1024 * 1024;

/// Names that a path is made of, at most; of deeper ones the tail is told.
const DEPTH: u32 = 512;
/// Longest name, in bytes: `NAME_MAX` of `linux/limits.h`.
const NAME_MAX: usize = 255;
/// What stands for the part that is not told: `…` in UTF-8.
const ELLIPSIS: [u8; 3] = [0xe2, 0x80, 0xa6];

/// A path in the making. The record is behind it (see [`FileRecord`]); the room is there for the
/// verifier, which cannot know that what begins late is short.
#[repr(C)]
struct Scratch {
    path: [u8; PATH_MAX],
    record: FileRecord,
    room: [u8; PATH_MAX],
    busy: u64,
}

#[map]
static FILE_PATH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Where a file is.
#[repr(C)]
pub struct Place {
    /// Address of the mount (`struct vfsmount`).
    pub mount: u64,
    /// Address of the directory entry.
    pub dentry: u64,
    /// Hash and length of its name.
    pub name: u64,
    /// Hash and length of its directory's name.
    pub parent: u64,
}

/// Where `file` is, which is no socket.
#[inline(always)]
pub fn place<A: Access>(file: Kernel) -> Place {
    let [mount, dentry]: [Kernel; 2] = A::pair(file, offset!(FileOffsets, file_path));
    let parent: Kernel = A::read(dentry, offset!(FileOffsets, dentry_parent));
    Place {
        mount: mount as u64,
        dentry: dentry as u64,
        name: name_of::<A>(dentry),
        parent: name_of::<A>(parent),
    }
}

/// Hash and length of the name of a directory entry.
#[inline(always)]
pub fn name_of<A: Access>(dentry: Kernel) -> u64 {
    let [hash, length]: [u32; 2] = A::pair(dentry, offset!(FileOffsets, dentry_name));
    u64::from(length) << 32 | u64::from(hash)
}

/// The number of a file; its path is told when it is seen for the first time.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn file_number(place: *const Place) -> u64 {
    if place.is_null() {
        return OTHER;
    }
    // SAFETY: our callers hand over a reference.
    let place = unsafe { &*place };
    let task = running::current();
    let root = root_of(task);
    let mut number = mix(0, place.mount);
    number = mix(number, place.dentry);
    number = mix(number, place.name);
    number = mix(number, place.parent);
    number = mix(number, root[0] ^ root[1]);
    if number < FIRST {
        number += FIRST;
    }
    told(number, || tell(place, &root, number))
}

/// Sees to it that `number` is known to the agent, by `tell` if it is new; gives it, or [`OTHER`]
/// where there is no room for it.
#[inline(always)]
fn told(number: u64, tell: impl FnOnce() -> u32) -> u64 {
    if FILE_SEEN.get_ptr(&number).is_some() {
        return number;
    }
    if !has_share() || FILE_SEEN.insert(&number, &1, 0).is_err() {
        return OTHER;
    }
    if tell() == 0 {
        // The next one tries again.
        let _ = FILE_SEEN.remove(&number);
        lost(Cause::PATH, 0);
    }
    number
}

/// Whether the cgroup that runs here may have one more new path in this second.
#[inline(always)]
fn has_share() -> bool {
    let Some(core) = running::core() else {
        return false;
    };
    // SAFETY: this core's value of the map.
    let cgroup = unsafe { (*core).running.key.cgroup };
    // Where there is no room to count, the room for paths is the only bound.
    let Some(count) = sum!(FILE_NEW_0, FILE_NEW_1, generation::current(), &cgroup, &0) else {
        return true;
    };
    // SAFETY: a pointer into the map's value, which other cores add to as well.
    unsafe {
        atomic_add(count, 1);
        core::ptr::read_volatile(count) <= SHARE
    }
}

/// Mount and directory entry of the root directory of a task.
#[inline(always)]
fn root_of(task: Kernel) -> [u64; 2] {
    let fs: u64 = Untyped::read(task, offset!(FileOffsets, task_fs));
    Untyped::read(fs as Kernel, offset!(FileOffsets, fs_root))
}

/// Takes another number into a hash: a step of MurmurHash64A.
#[inline(always)]
fn mix(hash: u64, number: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut number = number.wrapping_mul(M);
    number ^= number >> 47;
    let hash = (hash ^ number.wrapping_mul(M)).wrapping_mul(M);
    hash ^ (hash >> 29)
}

/// Sends the path of a file. 0 when there was no room.
#[inline(always)]
fn tell(place: &Place, root: &[u64; 2], number: u64) -> u32 {
    let Some(scratch) = FILE_PATH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this core's value of the map; who preempts us sees `busy`.
    unsafe {
        if (*scratch).busy != 0 {
            return 0;
        }
        core::ptr::write_volatile(&raw mut (*scratch).busy, 1);
        let start = walk(place, root, scratch);
        let length = (PATH_MAX - start) as u32;
        let super_block: u64 =
            Untyped::read(place.dentry as Kernel, offset!(FileOffsets, dentry_sb));
        (*scratch).record = FileRecord {
            file: number,
            magic: Untyped::read(super_block as Kernel, offset!(FileOffsets, super_magic)),
            mode: mode_of(place.dentry),
            path_len: length,
        };
        let sent = send(scratch, start);
        core::ptr::write_volatile(&raw mut (*scratch).busy, 0);
        sent
    }
}

/// Sends what is in the scratch from `start` on, with the record behind it. 0 when there was no room.
///
/// # Safety
/// `scratch` is this core's value of the map.
#[inline(always)]
unsafe fn send(scratch: *mut Scratch, start: usize) -> u32 {
    let flags = if FILE_PATHS.query(u64::from(BPF_RB_AVAIL_DATA)) > WAKE_AT {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    let start = start & (PATH_MAX - 1);
    // SAFETY: the map is a ring buffer, and the bytes are those of the path and the record.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const FILE_PATHS).cast_mut().cast(),
            scratch.cast::<u8>().add(start).cast(),
            (PATH_MAX - start + size_of::<FileRecord>()) as u64,
            u64::from(flags),
        )
    };
    u32::from(sent == 0)
}

/// Mode of the inode behind a directory entry.
#[inline(always)]
fn mode_of(dentry: u64) -> u32 {
    let inode: u64 = Untyped::read(dentry as Kernel, offset!(FileOffsets, dentry_inode));
    u32::from(Untyped::read::<u16>(
        inode as Kernel,
        offset!(FileOffsets, inode_mode),
    ))
}

/// Writes the path into the scratch and says where it begins.
///
/// The steps are done by `bpf_loop`: the verifier looks at one of them and not at all in turn.
///
/// # Safety
/// `scratch` is this core's value of the map.
#[inline(always)]
unsafe fn walk(place: &Place, root: &[u64; 2], scratch: *mut Scratch) -> usize {
    let mut way = Way {
        scratch,
        root: *root,
        mount: place.mount,
        dentry: place.dentry,
        at: PATH_MAX as u64,
        whole: 0,
    };
    // SAFETY: the callback takes what is handed to it here; the caller vouches for the scratch.
    unsafe {
        let step: extern "C" fn(u32, *mut Way) -> i64 = step;
        bpf_loop(DEPTH, step as *mut c_void, (&raw mut way).cast(), 0);
        let mut at = way.at as usize;
        if way.whole == 0 && at >= ELLIPSIS.len() {
            for byte in ELLIPSIS.iter().rev() {
                at -= 1;
                *scratch.cast::<u8>().add(at & (PATH_MAX - 1)) = *byte;
            }
        }
        at
    }
}

/// How far the walk has come.
#[repr(C)]
struct Way {
    scratch: *mut Scratch,
    root: [u64; 2],
    mount: u64,
    dentry: u64,
    at: u64,
    whole: u64,
}

/// What a step returns.
const ON: i64 = 0;
const STOP: i64 = 1;

/// Goes one directory up, or from what is mounted to where it is mounted.
extern "C" fn step(_: u32, way: *mut Way) -> i64 {
    // SAFETY: `walk` has handed it to `bpf_loop`. At most `NAME_MAX` bytes are written from below
    // `PATH_MAX`, behind which there is room.
    unsafe {
        let way = &mut *way;
        let (mount, dentry) = (way.mount, way.dentry);
        if mount == way.root[0] && dentry == way.root[1] {
            way.whole = 1;
            return STOP;
        }
        let mount_root: u64 = Untyped::read(mount as Kernel, offset!(FileOffsets, vfsmount_root));
        if dentry == mount_root {
            // The root of what is mounted: go on at the directory that it is mounted on.
            let real = mount.wrapping_sub(u64::from(offset!(FileOffsets, mount_vfs).bytes()));
            let above: u64 = Untyped::read(real as Kernel, offset!(FileOffsets, mount_parent));
            if above == real || above == 0 {
                way.whole = 1;
                return STOP;
            }
            way.dentry = Untyped::read(real as Kernel, offset!(FileOffsets, mount_point));
            way.mount = above.wrapping_add(u64::from(offset!(FileOffsets, mount_vfs).bytes()));
            return ON;
        }
        let parent: u64 = Untyped::read(dentry as Kernel, offset!(FileOffsets, dentry_parent));
        // `struct qstr`: hash (4 bytes), length (4 bytes), pointer to the name.
        let [hash_and_length, name]: [u64; 2] =
            Untyped::read(dentry as Kernel, offset!(FileOffsets, dentry_name));
        let length = (hash_and_length >> 32) & NAME_MAX as u64;
        let at = way.at;
        if at < length + 1 + ELLIPSIS.len() as u64 {
            return STOP;
        }
        let path = way.scratch.cast::<u8>();
        let begin = (at - length) & (PATH_MAX as u64 - 1);
        probe_read(
            path.add(begin as usize).cast(),
            // Masked where the verifier looks: 6.12 forgets its bound in the comparison above.
            masked::<{ NAME_MAX as i32 }>(length) as u32,
            name as *const _,
        );
        let slash = (at - length - 1) & (PATH_MAX as u64 - 1);
        *path.add(slash as usize) = b'/';
        way.at = slash;
        if parent == dentry {
            // Not in any directory: a file in memory, or a file system's own.
            way.whole = 1;
            return STOP;
        }
        way.dentry = parent;
        ON
    }
}

/// Longest `sun_path` (`UNIX_PATH_MAX` of `linux/un.h`), in whole words.
const NAME_WORDS: usize = 14;
type Name = [u64; NAME_WORDS];
const NAME_START: usize = PATH_MAX - size_of::<Name>();
const _: () = assert!(SUN_PATH_MAX <= size_of::<Name>() as u32);
const SUN_PATH_MAX: u32 = 108;

/// The number of a name that is no file's (of a Unix socket), of which `length` bytes are at `from`
/// in the kernel; it is told when it is seen for the first time. 0 when that cannot be found out now.
#[inline(always)]
pub fn named(from: Kernel, length: u32) -> u64 {
    let Some(scratch) = FILE_PATH.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this core's value of the map; who preempts us sees `busy`.
    unsafe {
        if (*scratch).busy != 0 {
            lost(Cause::BUSY, 0);
            return 0;
        }
        core::ptr::write_volatile(&raw mut (*scratch).busy, 1);
        let number = number_of_name(scratch, from, length);
        core::ptr::write_volatile(&raw mut (*scratch).busy, 0);
        number
    }
}

/// # Safety
/// `scratch` is this core's value of the map, and marked busy.
#[inline(always)]
unsafe fn number_of_name(scratch: *mut Scratch, from: Kernel, length: u32) -> u64 {
    let length = if length > SUN_PATH_MAX {
        SUN_PATH_MAX
    } else {
        length
    };
    // SAFETY: the name is at the end of the path, and has room for the bits of the mask with what
    // is behind it.
    let name = unsafe {
        let name = scratch.cast::<u8>().add(NAME_START).cast::<Name>();
        *name = [0; NAME_WORDS];
        probe_read(
            name.cast(),
            masked::<0x7f>(length.into()) as u32,
            from.cast(),
        );
        &*name
    };
    let mut number = mix(0, length.into());
    for word in name {
        number = mix(number, *word);
    }
    if number < FIRST {
        number += FIRST;
    }
    // SAFETY: the caller's promise.
    told(number, || unsafe {
        (*scratch).record = FileRecord {
            file: number,
            magic: SOCKET_MAGIC,
            mode: 0,
            path_len: length,
        };
        send(scratch, NAME_START)
    })
}
