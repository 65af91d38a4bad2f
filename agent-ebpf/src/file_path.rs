//! The identity of a file, and its path as the process sees it.
//!
//! The path is put together from the names of directory entries, from the file up to the root of the
//! process and across mounts, because only a handful of functions may call `bpf_d_path`. It is written
//! from its end, so if it does not fit, its beginning is missing.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_kernel};
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use bubble_common::kernel::file::{FileOffsets, FileRecord, OTHER, PATH_MAX};

use crate::access::{Access, Untyped};
use crate::bound::masked;
use crate::btf::{KernelPtr, offset};
use crate::file_chain::{Location, above, chain, root_of};
use crate::log::{self, Limit};
use crate::path_id::{self, Scratch, mix};
use crate::{generation, task};

/// Maximum number of names in a path. Of a deeper one only the end is sent.
const MAX_DEPTH: u32 = 512;
/// Longest name, in bytes: `NAME_MAX` of `linux/limits.h`.
const NAME_MAX: usize = 255;
/// `S_IFMT` and `S_IFREG` of `linux/stat.h`.
const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
/// Stands for the missing beginning: `…` in UTF-8.
const ELLIPSIS: [u8; 3] = [0xe2, 0x80, 0xa6];

/// What tells a file from others.
#[repr(C)]
pub struct FileIdentity {
    /// Address of the mount (`struct vfsmount`).
    pub mount: u64,
    /// Address of the directory entry.
    pub dentry: u64,
    /// Hash and length of the file's name.
    pub name: u64,
    /// Hash of the path ([`chain`]), or 0 if it is too deep to have a number. If `is_pseudo`: address of the operations.
    pub check: u64,
    /// Mode of the inode.
    pub mode: u32,
    /// Not 0 if no open has looked up the file's name: pipes, `memfd_create`, `eventfd` and others. Its
    /// name has no hash, and it is in no directory.
    pub is_pseudo: u16,
    /// Not 0 if [`file_number`] has begun an epoch.
    pub has_begun: u16,
}

impl FileIdentity {
    /// Whether nothing but the number of the inode tells the file from others with its directory entry,
    /// as for `memfd_create`. It is not remembered then.
    #[inline(always)]
    pub fn is_elusive(&self) -> bool {
        self.is_pseudo != 0 && self.mode & TYPE_MASK == REGULAR
    }
}

/// The identity of a file that is not a socket.
#[inline(always)]
pub fn identity<A: Access>(file: KernelPtr) -> FileIdentity {
    let at = Location::of::<A>(file);
    let Location { mount, dentry, .. } = at;
    let [hash, length]: [u32; 2] = A::pair(dentry, offset!(FileOffsets, dentry_name));
    let inode: KernelPtr = A::read(file, offset!(FileOffsets, file_inode));
    let parent: KernelPtr = A::read(dentry, offset!(FileOffsets, dentry_parent));
    let top: KernelPtr = A::read(mount, offset!(FileOffsets, vfsmount_root));
    let is_pseudo = hash == 0 && parent == dentry && top != dentry;
    FileIdentity {
        mount: mount as u64,
        dentry: dentry as u64,
        name: u64::from(length) << 32 | u64::from(hash),
        check: if is_pseudo {
            A::read::<KernelPtr>(file, offset!(FileOffsets, file_operations)) as u64
        } else {
            chain::<A>(task::current(), at)
        },
        mode: u32::from(A::read::<u16>(inode, offset!(FileOffsets, inode_mode))),
        is_pseudo: is_pseudo.into(),
        has_begun: 0,
    }
}

/// A directory entry as a process sees it: with the root of its paths.
#[repr(C)]
struct DentryInRoot {
    mount: u64,
    dentry: u64,
    root: u64,
}

/// The last number of each directory entry, used or not. If it changes, or may have, an epoch begins.
#[map]
static FILE_NUMBERS: LruHashMap<DentryInRoot, u64> = LruHashMap::with_max_entries(16_384, 0);

/// The number of a file. It stands for the path: a file with another path has another number. The path
/// is sent if the number is new.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn file_number(identity: *mut FileIdentity) -> u64 {
    if identity.is_null() {
        return OTHER;
    }
    // SAFETY: the callers pass a reference.
    let identity = unsafe { &mut *identity };
    let root = root_of(task::current());
    let root = [root[0] as u64, root[1] as u64];
    let mut hash = if identity.is_pseudo != 0 {
        mix(identity.mount, u64::from(identity.mode))
    } else {
        identity.check
    };
    hash = mix(hash, identity.name);
    // The kernel's hash of a name has 32 bits: too few for all files of a large directory.
    hash = mix(hash, end_of_name(identity.dentry));
    if identity.is_elusive() {
        hash = mix(hash, inode_of(identity.dentry));
    }
    let number = if identity.check == 0 {
        OTHER
    } else {
        path_id::from_hash(hash)
    };
    if identity.is_pseudo == 0 {
        identity.has_begun = note_number(identity, root[1], number) as u16;
    }
    if number == OTHER {
        return OTHER;
    }
    path_id::register(number, || send_path(identity, &root, number))
}

/// Remembers the number of a directory entry. Begins an epoch, and returns 1, if it may have had another.
#[inline(always)]
fn note_number(identity: &FileIdentity, root: u64, number: u64) -> u32 {
    let entry = DentryInRoot {
        mount: identity.mount,
        dentry: identity.dentry,
        root,
    };
    // SAFETY: a copy of the map's value, which others replace as a whole.
    let last = FILE_NUMBERS.get_ptr(&entry).map(|last| unsafe { *last });
    if last == Some(number) {
        return 0;
    }
    let _ = FILE_NUMBERS.insert(&entry, &number, 0);
    generation::begin_epoch();
    1
}

/// Number of the inode of a directory entry.
#[inline(always)]
fn inode_of(dentry: u64) -> u64 {
    let inode: KernelPtr = Untyped::read(dentry as KernelPtr, offset!(FileOffsets, dentry_inode));
    Untyped::read(inode, offset!(FileOffsets, inode_number))
}

/// The last 8 bytes of a directory entry's name.
#[inline(always)]
fn end_of_name(dentry: u64) -> u64 {
    let [hash_and_length, name]: [u64; 2] =
        Untyped::read(dentry as KernelPtr, offset!(FileOffsets, dentry_name));
    let length = hash_and_length >> 32;
    if length >= 8 {
        Untyped::at((name + length - 8) as KernelPtr)
    } else {
        // The bytes after the name are not part of it. Shifted twice, as 64 is no valid shift.
        let bytes: u64 = Untyped::at(name as KernelPtr);
        bytes << (8 * (7 - length)) << 8
    }
}

/// Calls `read` with the path of a file, as the current task sees it, and its length; `None` if this
/// core's scratch buffer is in use.
#[inline(always)]
pub fn with_path<T>(at: &Location, read: impl FnOnce(*const u8, u64) -> T) -> Option<T> {
    let root = root_of(task::current());
    let root = [root[0] as u64, root[1] as u64];
    let at = [at.mount as u64, at.dentry as u64];
    path_id::with_scratch(|scratch| {
        // SAFETY: `with_scratch` passes this core's buffer.
        unsafe {
            let start = walk(at, &root, scratch) & (PATH_MAX - 1);
            read(scratch.cast::<u8>().add(start), (PATH_MAX - start) as u64)
        }
    })
}

/// Sends the path of a file; false if the ring buffer is full or the scratch buffer in use.
#[inline(always)]
fn send_path(identity: &FileIdentity, root: &[u64; 2], number: u64) -> bool {
    let sent = path_id::with_scratch(|scratch| {
        // SAFETY: `with_scratch` passes this core's buffer.
        unsafe {
            let start = walk([identity.mount, identity.dentry], root, scratch);
            let length = (PATH_MAX - start) as u32;
            let super_block: u64 = Untyped::read(
                identity.dentry as KernelPtr,
                offset!(FileOffsets, dentry_sb),
            );
            (*scratch).record = FileRecord {
                file: number,
                magic: Untyped::read(super_block as KernelPtr, offset!(FileOffsets, super_magic)),
                mode: identity.mode,
                path_len: length,
            };
            path_id::send(scratch, start)
        }
    });
    sent.unwrap_or(false)
}

/// Writes the path into the scratch buffer. Returns the index of its first byte.
///
/// The steps run in `bpf_loop`, so that the verifier checks one step and not each in turn.
///
/// # Safety
/// `scratch` is this core's buffer.
#[inline(always)]
unsafe fn walk(at: [u64; 2], root: &[u64; 2], scratch: *mut Scratch) -> usize {
    let mut walk = Walk::new(at, root, scratch);
    // SAFETY: the callback's second argument is the one passed here; the caller vouches for the buffer.
    unsafe {
        let step: extern "C" fn(u32, *mut Walk) -> i64 = step;
        bpf_loop(MAX_DEPTH, step as *mut c_void, (&raw mut walk).cast(), 0);
        let mut start = walk.start as usize;
        if walk.is_complete == 0 && start >= ELLIPSIS.len() {
            for byte in ELLIPSIS.iter().rev() {
                start -= 1;
                *scratch.cast::<u8>().add(start & (PATH_MAX - 1)) = *byte;
            }
            log::limit(Limit::PATH_LENGTH, (PATH_MAX - start) as u64);
        }
        start
    }
}

/// State of the walk from a file to the root.
#[repr(C)]
struct Walk {
    scratch: *mut Scratch,
    root: [u64; 2],
    mount: u64,
    dentry: u64,
    /// Index of the first byte written.
    start: u64,
    /// Not 0 once the beginning of the path is written.
    is_complete: u64,
}

impl Walk {
    #[inline(always)]
    fn new([mount, dentry]: [u64; 2], root: &[u64; 2], scratch: *mut Scratch) -> Self {
        Self {
            scratch,
            root: *root,
            mount,
            dentry,
            start: PATH_MAX as u64,
            is_complete: 0,
        }
    }

    /// Goes from the root of a mount to its mount point. Returns the result of the step, or `None` if
    /// there is a name to take.
    #[inline(always)]
    fn cross(&mut self) -> Option<i64> {
        if self.mount == self.root[0] && self.dentry == self.root[1] {
            self.is_complete = 1;
            return Some(STOP);
        }
        let mount = self.mount as KernelPtr;
        let mount_root: u64 = Untyped::read(mount, offset!(FileOffsets, vfsmount_root));
        if self.dentry != mount_root {
            return None;
        }
        match above(mount) {
            Some((mount, point)) => {
                self.mount = mount as u64;
                self.dentry = point as u64;
                Some(CONTINUE)
            }
            None => {
                self.is_complete = 1;
                Some(STOP)
            }
        }
    }

    /// Goes to the directory.
    #[inline(always)]
    fn ascend(&mut self) -> i64 {
        let dentry = self.dentry as KernelPtr;
        let parent: u64 = Untyped::read(dentry, offset!(FileOffsets, dentry_parent));
        if parent == self.dentry {
            // In no directory: a file in memory, or a file system's own.
            self.is_complete = 1;
            return STOP;
        }
        self.dentry = parent;
        CONTINUE
    }
}

/// Results of a step.
const CONTINUE: i64 = 0;
const STOP: i64 = 1;

/// Goes one directory up, or from the root of a mount to its mount point.
extern "C" fn step(_: u32, walk: *mut Walk) -> i64 {
    // SAFETY: `bpf_loop` passes what `walk` gave it. At most `NAME_MAX` bytes are written from below
    // `PATH_MAX`, and padding follows.
    unsafe {
        let walk = &mut *walk;
        if let Some(result) = walk.cross() {
            return result;
        }
        // `struct qstr`: hash (4 bytes), length (4 bytes), pointer to the name.
        let [hash_and_length, name]: [u64; 2] =
            Untyped::read(walk.dentry as KernelPtr, offset!(FileOffsets, dentry_name));
        let length = (hash_and_length >> 32) & NAME_MAX as u64;
        let end = walk.start;
        if end < length + 1 + ELLIPSIS.len() as u64 {
            return STOP;
        }
        let text = walk.scratch.cast::<u8>();
        let begin = (end - length) & (PATH_MAX as u64 - 1);
        bpf_probe_read_kernel(
            text.add(begin as usize).cast(),
            // Masked right here, because 6.12 forgets the bound in the comparison above.
            masked::<{ NAME_MAX as i32 }>(length) as u32,
            name as *const _,
        );
        let slash = (end - length - 1) & (PATH_MAX as u64 - 1);
        *text.add(slash as usize) = b'/';
        walk.start = slash;
        walk.ascend()
    }
}
