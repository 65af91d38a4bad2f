//! From a descriptor to its file, and from a file to its socket.

use bubble_common::kernel::file::FileOffsets;
use bubble_common::kernel::network::NetworkOffsets;
use bubble_common::kernel::wait::WaitOffsets;

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, as_file, can_cast, number_at, offset};

/// `S_IFMT` of `linux/stat.h`.
pub const TYPE_MASK: u16 = 0o170_000;
/// `S_IFSOCK` of `linux/stat.h`.
pub const SOCKET: u16 = 0o140_000;
/// `S_IFIFO` of `linux/stat.h`.
pub const PIPE: u16 = 0o010_000;

/// The file behind a descriptor of the task; `None` if the descriptor is closed.
#[inline(always)]
pub fn file_of(task: KernelPtr, number: u32) -> Option<KernelPtr> {
    let files: KernelPtr = Typed::read(task, offset!(FileOffsets, task_files));
    let table: KernelPtr = Typed::read(files, offset!(FileOffsets, files_fdt));
    let size: u32 = Typed::read(table, offset!(FileOffsets, fdtable_max_fds));
    if number >= size {
        return None;
    }
    let first: KernelPtr = Typed::read(table, offset!(FileOffsets, fdtable_fd));
    let slot = first.wrapping_add(number as usize * 8);
    let file = if can_cast() {
        number_at(slot) as KernelPtr
    } else {
        Untyped::at(slot)
    };
    (!file.is_null()).then_some(file)
}

/// Whether a file is a socket.
#[inline(always)]
pub fn is_socket(file: KernelPtr) -> bool {
    let mode = if can_cast() {
        mode_of::<Typed>(as_file(file))
    } else {
        mode_of::<Untyped>(file)
    };
    mode & TYPE_MASK == SOCKET
}

#[inline(always)]
fn mode_of<A: Access>(file: KernelPtr) -> u16 {
    let inode: KernelPtr = A::read(file, offset!(FileOffsets, file_inode));
    A::read(inode, offset!(FileOffsets, inode_mode))
}

/// Mode and flags (`i_flags`) of a file's inode.
#[inline(always)]
pub fn mode_and_flags(file: KernelPtr) -> (u16, u32) {
    fn read<A: Access>(file: KernelPtr) -> (u16, u32) {
        let inode: KernelPtr = A::read(file, offset!(FileOffsets, file_inode));
        (
            A::read(inode, offset!(FileOffsets, inode_mode)),
            A::read(inode, offset!(WaitOffsets, inode_flags)),
        )
    }
    if can_cast() {
        read::<Typed>(as_file(file))
    } else {
        read::<Untyped>(file)
    }
}

/// The `struct sock` behind a file; `None` if the file is not a socket.
#[inline(always)]
pub fn socket_of(file: KernelPtr) -> Option<KernelPtr> {
    if !is_socket(file) {
        return None;
    }
    let socket: KernelPtr = Untyped::read(file, offset!(FileOffsets, file_private));
    let sock: KernelPtr = Untyped::read(socket, offset!(NetworkOffsets, socket_sock));
    (!sock.is_null()).then_some(sock)
}
