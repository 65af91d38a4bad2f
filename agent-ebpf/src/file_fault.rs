//! Pages of mapped files that page faults bring in.
//!
//! The tracepoint tells the address space (`struct address_space`) and the page, but no path. So
//! `file_map` notes the file of each mapping by container and inode, and a fault is counted for that
//! file. A file without such a note, such as a library, is not counted.
//!
//! The kernel maps pages around the one that was touched if they are in the page cache
//! (`do_fault_around`). Those pages raise no event.

use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::file::{FileKey, FileOffsets, UNKNOWN};
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;

use crate::access::{Access, Untyped};
use crate::btf::{KernelPtr, address, field, offset};
use crate::cpu_state::counted_process;
use crate::file_path::{file_number, identity};
use crate::loss::lost;
use crate::{file_sum, generation, path_id, task};

/// `OVERLAYFS_SUPER_MAGIC` and `TMPFS_MAGIC` of `linux/magic.h`.
const OVERLAY: u64 = 0x794c_7630;
const TMPFS: u64 = 0x0102_1994;

/// An inode that a container has mapped. Its address and number may be used again, but not within one
/// generation of the number.
#[repr(C)]
struct Mapped {
    cgroup: u64,
    /// Address of the address space.
    space: u64,
    inode: u64,
    inode_generation: u64,
}

/// The file that was mapped last of each inode.
#[map]
static MAPPED: LruHashMap<Mapped, u64> = LruHashMap::with_max_entries(16_384, 0);

/// A thread.
#[repr(C)]
struct Thread {
    task: u64,
    /// When its process was forked.
    start: u64,
}

/// Address space and page of each thread's last fault on a noted file, and its completed faults by then.
#[map]
static FAULTS: LruHashMap<Thread, [u64; 3]> = LruHashMap::with_max_entries(16_384, 0);

impl Mapped {
    /// The inode of an address space. `None`: the address space has no inode.
    #[inline(always)]
    fn new(cgroup: u64, space: KernelPtr) -> Option<Self> {
        let inode: KernelPtr = Untyped::read(space, offset!(FileOffsets, space_inode));
        if inode.is_null() {
            return None;
        }
        let inode_generation: u32 = Untyped::read(inode, offset!(FileOffsets, inode_generation));
        Some(Self {
            cgroup,
            space: space as u64,
            inode: Untyped::read(inode, offset!(FileOffsets, inode_number)),
            inode_generation: inode_generation.into(),
        })
    }
}

/// Notes that a process of `cgroup`, which runs here, maps `file`.
#[inline(always)]
pub fn note_mapping(cgroup: u64, file: KernelPtr) {
    let dentry: KernelPtr = Untyped::read(file, offset!(FileOffsets, file_dentry));
    let super_block: KernelPtr = Untyped::read(dentry, offset!(FileOffsets, dentry_sb));
    let magic: u64 = Untyped::read(super_block, offset!(FileOffsets, super_magic));
    // Its page faults are its own (`shmem_fault`), and raise no event.
    if magic == TMPFS {
        return;
    }
    let number = file_number(&mut identity::<Untyped>(file));
    let below = if magic == OVERLAY { below(file) } else { file };
    let space: KernelPtr = Untyped::read(below, offset!(FileOffsets, file_space));
    if let Some(mapped) = Mapped::new(cgroup, space) {
        let _ = MAPPED.insert(&mapped, &number, 0);
    }
}

/// The file of the file system below overlayfs, whose pages are mapped.
#[inline(always)]
fn below(file: KernelPtr) -> KernelPtr {
    // That file; since 6.13 a `struct ovl_file`, which begins with a pointer to it.
    let below: KernelPtr = Untyped::read(file, offset!(FileOffsets, file_private));
    if is_file(below) {
        below
    } else {
        Untyped::at(below)
    }
}

/// Whether this is the address of an open file: its address space is that of its inode.
#[inline(always)]
fn is_file(file: KernelPtr) -> bool {
    let inode: u64 = Untyped::read(file, offset!(FileOffsets, file_inode));
    let space: KernelPtr = Untyped::read(file, offset!(FileOffsets, file_space));
    inode != 0 && inode == Untyped::read::<u64>(space, offset!(FileOffsets, space_inode))
}

// TP_PROTO(struct address_space *mapping, pgoff_t index), since 6.12: mm/filemap.c, filemap_fault()
#[btf_tracepoint(function = "mm_filemap_fault")]
fn mapped_fault(ctx: BtfTracePointContext) -> i32 {
    let space: KernelPtr = ctx.arg(0);
    file_faulted(address(space), ctx.arg(1));
    0
}

/// Counts a fault on the page `index` of an address space.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn file_faulted(space: u64, index: u64) -> u32 {
    try_file_faulted(space, index);
    0
}

#[inline(always)]
fn try_file_faulted(space: u64, index: u64) -> Option<()> {
    let process = counted_process()?;
    let mapped = Mapped::new(process.cgroup, space as KernelPtr)?;
    // SAFETY: a copy of the map's value, which others replace as a whole.
    let number = unsafe { *MAPPED.get_ptr(&mapped)? };
    if is_repeated(process, space, index) {
        return None;
    }
    let file = if path_id::is_known(number) {
        number
    } else {
        // The agent has forgotten the path, and it cannot be read here.
        lost(Cause::PATH, 0);
        UNKNOWN
    };
    let key = FileKey {
        process: *process,
        file,
    };
    file_sum::add_pages(generation::current(), &key, 1);
    Some(())
}

/// The file whose page the thread that runs here faults on. `None`: it is in no fault, or the file was not
/// noted.
#[inline(always)]
pub fn faulting_file() -> Option<u64> {
    let process = counted_process()?;
    let task = task::current();
    let thread = Thread {
        task: address(task),
        start: process.start,
    };
    // SAFETY: a copy of the map's value; only this thread changes it.
    let [space, _, faults] = unsafe { *FAULTS.get_ptr(&thread)? };
    // A fault that is completed counts.
    if faults != completed(task) {
        return None;
    }
    let mapped = Mapped::new(process.cgroup, space as KernelPtr)?;
    // SAFETY: a copy of the map's value, which others replace as a whole.
    let number = unsafe { *MAPPED.get_ptr(&mapped)? };
    path_id::is_known(number).then_some(number)
}

/// Number of faults that the task has completed.
#[inline(always)]
fn completed(task: KernelPtr) -> u64 {
    let minor: u64 = field!(task, task_minor_faults);
    let major: u64 = field!(task, task_major_faults);
    minor + major
}

/// Whether this is the fault that this thread had last. A fault that waits for the disk without the lock of
/// the memory is repeated (`VM_FAULT_RETRY`), and counts for the thread when it is completed.
#[inline(always)]
fn is_repeated(process: &ProcessKey, space: u64, index: u64) -> bool {
    let task = task::current();
    let page = [space, index, completed(task)];
    let thread = Thread {
        task: address(task),
        start: process.start,
    };
    // SAFETY: a copy of the map's value; only this thread changes it.
    let last = FAULTS.get_ptr(&thread).map(|last| unsafe { *last });
    if last == Some(page) {
        return true;
    }
    let _ = FAULTS.insert(&thread, &page, 0);
    false
}
