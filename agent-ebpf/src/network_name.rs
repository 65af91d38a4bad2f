//! Names of Unix sockets: paths, or arbitrary bytes after a NUL in the abstract namespace. They become
//! numbers, and their text is sent once, like the paths of files.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::{
    bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_probe_read_user_str,
};
use bubble_common::kernel::file::{FileRecord, PATH_MAX, SOCKET_MAGIC};
use bubble_common::kernel::loss::Cause;
use bubble_common::kernel::network::{NetworkKey, NetworkOffsets, family, protocol, role};

use crate::access::{Access, Untyped};
use crate::bound::masked;
use crate::btf::{KernelPtr, Offset as _, offset};
use crate::log::{self, Limit};
use crate::loss::lost;
use crate::path_id::{self, Scratch, mix};

/// Longest name, in bytes: `UNIX_PATH_MAX` of `linux/un.h`.
const NAME_MAX: u32 = 108;
/// The same in whole words.
const NAME_WORDS: usize = 14;
type Name = [u64; NAME_WORDS];
/// Where a name is in the scratch buffer: at the end of its text.
const NAME_START: usize = PATH_MAX - size_of::<Name>();
const _: () = assert!(NAME_MAX <= size_of::<Name>() as u32);

/// Fills in the names of both ends, and the role that follows from them.
#[inline(always)]
pub fn unix_names(socket: KernelPtr, key: &mut NetworkKey) {
    key.family = family::UNIX;
    let peer: KernelPtr = Untyped::read(socket, offset!(NetworkOffsets, unix_peer));
    key.local[0] = name_of(socket);
    if !peer.is_null() {
        key.peer[0] = name_of(peer);
    }
    if key.protocol == protocol::UNIX_STREAM {
        // The accepting end has the listener's name; the connecting end mostly has none.
        key.role = match (key.local[0], key.peer[0]) {
            (0, 1..) => role::CLIENT,
            (1.., 0) => role::SERVER,
            _ => role::UNKNOWN,
        };
    }
}

/// The number of a socket's name; 0 if it has none, or if the name cannot be read now.
#[inline(always)]
fn name_of(socket: KernelPtr) -> u64 {
    let address: KernelPtr = Untyped::read(socket, offset!(NetworkOffsets, unix_address));
    if address.is_null() {
        return 0;
    }
    let length: u32 = Untyped::read(address, offset!(NetworkOffsets, unix_address_length));
    let name = address.wrapping_add(offset!(NetworkOffsets, unix_address_name).bytes() as usize);
    network_name_at(name as u64, length, 0)
}

/// The number of the name in the `struct sockaddr_un` at `address`; 0 for an empty name. `length` includes
/// the 2 bytes of the family. `in_user` is 1 for an address of the program, 0 for one of the kernel.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_name_at(address: u64, length: u32, in_user: u32) -> u64 {
    if length <= 2 {
        return 0;
    }
    let from = (address + 2) as KernelPtr;
    // SAFETY: `with_scratch` passes this core's buffer.
    let number = path_id::with_scratch(|scratch| unsafe {
        number_of(scratch, from, length - 2, in_user != 0)
    });
    match number {
        Some(number) => number,
        None => {
            lost(Cause::BUSY, 0);
            log::limit(Limit::SOCKET_NAME, length.into());
            0
        }
    }
}

/// The number of a name of `length` bytes at `from`. The name is sent if the number is new.
///
/// # Safety
/// `scratch` is this core's buffer, and marked busy.
#[inline(always)]
unsafe fn number_of(scratch: *mut Scratch, from: KernelPtr, length: u32, in_user: bool) -> u64 {
    let size = if length > NAME_MAX { NAME_MAX } else { length };
    // SAFETY: the name is at the end of the text. The mask allows 127 bytes, for which there is room
    // together with the record.
    let (name, length) = unsafe {
        let name = scratch.cast::<u8>().add(NAME_START).cast::<Name>();
        *name = [0; NAME_WORDS];
        let mut first = 0_u8;
        read(in_user, (&raw mut first).cast(), 1, from);
        let length = if first == 0 {
            read(
                in_user,
                name.cast(),
                masked::<0x7f>(size.into()) as u32,
                from,
            );
            size
        } else {
            // A path ends at its NUL, whatever the program passes behind it.
            read_text(
                in_user,
                name.cast(),
                masked::<0x7f>((size + 1).into()) as u32,
                from,
            )
        };
        (&*name, length)
    };
    if length == 0 {
        return 0;
    }
    let mut hash = mix(0, length.into());
    for word in name {
        hash = mix(hash, *word);
    }
    let number = path_id::from_hash(hash);
    // SAFETY: the caller's promise.
    path_id::register(number, || unsafe {
        (*scratch).record = FileRecord {
            file: number,
            magic: SOCKET_MAGIC,
            mode: 0,
            path_len: length,
        };
        path_id::send(scratch, NAME_START)
    })
}

/// Copies bytes of the kernel or of the program.
///
/// # Safety
/// `to` has room for `size` bytes.
#[inline(always)]
unsafe fn read(in_user: bool, to: *mut c_void, size: u32, from: KernelPtr) {
    // SAFETY: the caller's promise; the helpers take any address.
    unsafe {
        if in_user {
            bpf_probe_read_user(to, size, from.cast());
        } else {
            bpf_probe_read_kernel(to, size, from.cast());
        }
    }
}

/// Copies a text up to its NUL. Returns its length with the NUL; 0 if it cannot be read.
///
/// # Safety
/// As for [`read`].
#[inline(always)]
unsafe fn read_text(in_user: bool, to: *mut c_void, size: u32, from: KernelPtr) -> u32 {
    // SAFETY: likewise.
    let length = unsafe {
        if in_user {
            bpf_probe_read_user_str(to, size, from.cast())
        } else {
            bpf_probe_read_kernel_str(to, size, from.cast())
        }
    };
    if length > 0 { length as u32 } else { 0 }
}
