//! The hash of a path: of the names from a file up to the root of the process, across mounts.
//!
//! Each open computes it, as that is the only sure sign of another path: addresses of directory entries,
//! inode numbers and mounts are all used again, and a rename changes the paths of a whole tree. It
//! consists of the hashes of the names that the kernel keeps. Each of those depends on the address of
//! the directory entry above as well (`full_name_hash`).

use bubble_common::kernel::file::FileOffsets;

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, Offset, as_dentry, can_cast, number_at, offset};

/// Maximum number of names and mounts. Files that are deeper count as `(other)`.
const MAX_STEPS: u32 = 64;
/// Odd, so that no name is lost; fits an instruction.
const FACTOR: u64 = 0x6eed_0e9d;

/// Mount (`struct vfsmount`) and directory entry of the root directory of a task.
#[inline(always)]
pub fn root_of(task: KernelPtr) -> [KernelPtr; 2] {
    let fs: KernelPtr = Typed::read(task, offset!(FileOffsets, task_fs));
    Typed::pair(fs, offset!(FileOffsets, fs_root))
}

/// Adds the name of a directory entry to the hash.
#[inline(always)]
fn add(hash: u64, name: u32) -> u64 {
    let hash = (hash ^ u64::from(name)).wrapping_mul(FACTOR);
    hash ^ (hash >> 32)
}

/// Where a file is, and the kernel's hash of its name.
#[derive(Clone, Copy)]
pub struct Location {
    /// The mount (`struct vfsmount`).
    pub mount: KernelPtr,
    /// The directory entry.
    pub dentry: KernelPtr,
    /// Hash of the name. The length is left out: same address and same hash imply it.
    pub name: u32,
}

impl Location {
    /// The location of an open file.
    #[inline(always)]
    pub fn of<A: Access>(file: KernelPtr) -> Self {
        let [mount, dentry]: [KernelPtr; 2] = A::pair(file, offset!(FileOffsets, file_path));
        Self {
            mount,
            dentry,
            name: A::read(dentry, offset!(FileOffsets, dentry_name)),
        }
    }
}

/// The hash of a file's path as the task sees it; 0 if it is too deep.
///
/// A function of its own with one loop, so that the verifier follows few paths.
#[inline(never)]
pub fn chain<A: Access>(task: KernelPtr, at: Location) -> u64 {
    let Location {
        mut mount,
        mut dentry,
        mut name,
    } = at;
    let root = root_of(task);
    let mut mount_root: KernelPtr = A::read(mount, offset!(FileOffsets, vfsmount_root));
    let mut hash = 0;
    for _ in 0..MAX_STEPS {
        if dentry == root[1] && mount == root[0] {
            return hash | 1;
        }
        if dentry == mount_root {
            let Some((above, point)) = above(mount) else {
                return hash | 1;
            };
            if !A::CAN_CONTINUE && !can_cast() {
                return 0;
            }
            mount = above;
            mount_root = pointer_at(mount, offset!(FileOffsets, vfsmount_root));
            dentry = if can_cast() { as_dentry(point) } else { point };
        } else {
            hash = add(hash, name);
            let parent: KernelPtr = A::read(dentry, offset!(FileOffsets, dentry_parent));
            if parent == dentry {
                return hash | 1;
            }
            dentry = parent;
        }
        name = A::read(dentry, offset!(FileOffsets, dentry_name));
    }
    0
}

/// The mount on which `mount` is mounted, and its mount point there; `None` at the top.
#[inline(always)]
pub fn above(mount: KernelPtr) -> Option<(KernelPtr, KernelPtr)> {
    // `struct vfsmount` is a field of `struct mount`.
    let field = offset!(FileOffsets, mount_vfs).bytes() as usize;
    let outer = mount.wrapping_sub(field);
    let above = pointer_at(outer, offset!(FileOffsets, mount_parent));
    if above == outer || above.is_null() {
        return None;
    }
    let point = pointer_at(outer, offset!(FileOffsets, mount_point));
    Some((above.wrapping_add(field), point))
}

/// The pointer in the field `at` of the struct at `base`: by a plain load where the kernel can give any
/// pointer a type, as a helper costs several times as much.
#[inline(always)]
fn pointer_at(base: KernelPtr, at: impl Offset) -> KernelPtr {
    if can_cast() {
        number_at(base.wrapping_add(at.bytes() as usize)) as KernelPtr
    } else {
        Untyped::read(base, at)
    }
}
