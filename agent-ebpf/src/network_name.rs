//! Names of Unix sockets: paths, or in the abstract name space any bytes after a
//! NUL. They become numbers, whose text is told once, in the way of files' paths.

use bubble_common::kernel::network::{NetworkKey, NetworkOffsets, role};

use crate::{
    btf::{Kernel, Offset as _, offset},
    file::{Access, Untyped},
    file_path,
};

/// Fills in the names of both ends, and the role that they tell.
#[inline(always)]
pub fn unix_names(socket: Kernel, key: &mut NetworkKey) {
    key.family = bubble_common::kernel::network::family::UNIX;
    let peer: Kernel = Untyped::read(socket, offset!(NetworkOffsets, unix_peer));
    key.local[0] = name_of(socket);
    if !peer.is_null() {
        key.peer[0] = name_of(peer);
    }
    if key.protocol == bubble_common::kernel::network::protocol::UNIX_STREAM {
        // Who connects need not have a name, who accepts has the listener's.
        key.role = match (key.local[0], key.peer[0]) {
            (0, 1..) => role::CLIENT,
            (1.., 0) => role::SERVER,
            _ => role::UNKNOWN,
        };
    }
}

/// The number of a socket's name, 0 when it has none.
#[inline(never)]
fn name_of(socket: Kernel) -> u64 {
    let address: Kernel = Untyped::read(socket, offset!(NetworkOffsets, unix_address));
    if address.is_null() {
        return 0;
    }
    // Of the whole address, the family (2 bytes) among it.
    let length: u32 = Untyped::read(address, offset!(NetworkOffsets, unix_address_length));
    if length <= 2 {
        return 0;
    }
    let from =
        address.wrapping_add(offset!(NetworkOffsets, unix_address_name).bytes() as usize + 2);
    file_path::named(from, length - 2)
}
