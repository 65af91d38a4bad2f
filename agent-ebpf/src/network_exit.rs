//! Sockets at the end of system calls: for kernels without tracepoints for what sockets take and
//! give (before 6.3), where functions are not hooked either.
//!
//! The socket is found from the descriptor, as files are (`syscall`), so all bytes that a call moves
//! come by here, by whatever call. It costs more than the other hooks, as no connection is kept
//! before the map: the verifier does not know these sockets, so they get no cookie.
//!
//! Not seen: what 32-bit programs send and receive by the calls that sockets alone have. What
//! io_uring peeks at counts, and its datagrams are those of the peer that the socket is connected to.

use bubble_common::kernel::{network::NetworkKey, process::ProcessKey, syscall::Action};

use crate::{
    btf::Kernel,
    file::{IN, OUT, Untyped},
    generation,
    network::{LOOKING, add, describe},
    network_peer::PutOff,
    running,
    settings::setting,
    syscall::{argument_0, argument_2, argument_3, file_of, socket_of},
};

/// More than a call can move.
const MOST: u64 = u64::MAX;

/// Whether sockets are counted here.
#[inline(always)]
pub fn in_use() -> bool {
    setting!(sockets_at_exit) != 0
}

/// Counts bytes that `process` moved through the socket that `file` is, when that is done here.
#[inline(always)]
pub fn count(file: u64, process: &ProcessKey, direction: u32, bytes: u64) {
    if in_use() {
        network_exit_count(file, process, direction, bytes);
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_exit_count(
    file: u64,
    process: *const ProcessKey,
    direction: u32,
    bytes: u64,
) -> u32 {
    if let Some(socket) = socket_of(file as Kernel)
        && !process.is_null()
    {
        let mut key = NetworkKey::default();
        // SAFETY: `count` hands over a reference.
        describe(socket, unsafe { &*process }, &mut key);
        add(generation::current(), &key, direction, bytes, 1);
    }
    0
}

/// Fills in what the system call that ends has moved, as if it had been put off until now.
#[inline(always)]
pub fn of_call(registers: Kernel, action: u8, result: u64, call: &mut PutOff) -> Option<()> {
    let direction = match action {
        Action::SENDTO | Action::SENDMSG | Action::SENDMMSG => OUT,
        _ => IN,
    };
    let flags = match action {
        Action::SENDMSG | Action::RECVMSG => argument_2::<Untyped>(registers),
        _ => argument_3::<Untyped>(registers),
    };
    if direction == IN && flags as i32 & LOOKING != 0 {
        return None;
    }
    let number = argument_0::<Untyped>(registers) as u32;
    let socket = socket_of(file_of(running::current(), number)?)?;
    let running = running::counted()?;
    let many = action == Action::SENDMMSG || action == Action::RECVMMSG;
    // The result of many messages is their number; how long each is, they say themselves.
    call.bytes = if many { MOST } else { result };
    call.ops = if many { result } else { 1 };
    call.direction = direction;
    describe(socket, &running.key, &mut call.key);
    Some(())
}
