//! Files that are mapped into memory. What a program reads and writes there passes no hook, so the
//! mapping itself is noted as uncounted I/O; see `file_fault` for the pages that are brought in.

use bubble_common::kernel::file::FileOffsets;
use bubble_common::kernel::unseen::Kind;

use crate::access::{Access, Untyped};
use crate::btf::offset;
use crate::cpu_state::counted_process;
use crate::descriptor::file_of;
use crate::file_fault::note_mapping;
use crate::task;
use crate::unseen::unseen;

/// Flags of `asm-generic/mman.h`. `MAP_SHARED_VALIDATE` has the bit of `MAP_SHARED` too.
const SHARED: u32 = 1;
const ANONYMOUS: u32 = 0x20;
/// The dynamic linker of glibc passes it for libraries; the kernel ignores it.
const DENY_WRITE: u32 = 0x800;
const PROT_WRITE: u32 = 2;
const PROT_EXEC: u32 = 4;
/// Shorter mappings for reading are not noted: the caches of the dynamic linker, of character sets and
/// of locales, which most programs map.
const MIN_LENGTH: u64 = 128 * 1024;
/// `S_IFMT`, `S_IFREG` and `S_IFBLK` of `linux/stat.h`.
const TYPE_MASK: u16 = 0o170_000;
const REGULAR: u16 = 0o100_000;
const BLOCK: u16 = 0o60_000;

/// Notes a mapping of `length` bytes of a file. Programs and libraries are not noted.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn file_mapped(length: u64, protection: u32, flags: u32, number: u32) -> u32 {
    if flags & ANONYMOUS != 0 {
        return 0;
    }
    let is_shared = flags & SHARED != 0;
    if !is_shared && (protection & PROT_EXEC != 0 || flags & DENY_WRITE != 0) {
        return 0;
    }
    if length < MIN_LENGTH && !(is_shared && protection & PROT_WRITE != 0) {
        return 0;
    }
    let Some(process) = counted_process() else {
        return 0;
    };
    let Some(file) = file_of(task::current(), number) else {
        return 0;
    };
    let inode: u64 = Untyped::read(file, offset!(FileOffsets, file_inode));
    let mode: u16 = Untyped::read(inode as _, offset!(FileOffsets, inode_mode));
    if matches!(mode & TYPE_MASK, REGULAR | BLOCK) {
        unseen(process.cgroup, Kind::MAPPED, 1, 0);
        note_mapping(process.cgroup, file);
    }
    0
}
