//! Sockets at syscall exit, for kernels that have no tracepoints for sent and received bytes (before
//! 6.3) and where functions are not hooked either.
//!
//! The socket is found from the descriptor, like a file (`syscall`), so that all bytes that any call
//! moves are counted here. It costs more than the other hooks, because the last-used cache cannot be
//! used: the verifier does not know the type of these sockets, so they get no cookie.
//!
//! Not seen: bytes that a call moved before it failed (an invalid address for the peer). Bytes that
//! io_uring peeks at count, and its datagrams have the peer that the socket is connected to.

use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::network::NetworkKey;
use bubble_common::kernel::syscall::Action;

use crate::access::Untyped;
use crate::btf::KernelPtr;
use crate::cpu_state::counted_process;
use crate::descriptor::{file_of, socket_of};
use crate::network_deferred::Deferred;
use crate::network_key::{PEEK_FLAGS, describe};
use crate::network_sum::add;
use crate::registers::argument;
use crate::settings::setting;
use crate::sum::{IN, OUT};
use crate::{generation, task};

/// Stands for an unknown number of bytes: more than a call can move.
const UNBOUNDED: u64 = u64::MAX;

/// Whether sockets are counted here.
#[inline(always)]
pub fn in_use() -> bool {
    setting!(sockets_at_exit) != 0
}

/// Counts bytes that `process` moved through the socket behind `file`, if sockets are counted here.
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
    if let Some(socket) = socket_of(file as KernelPtr)
        && !process.is_null()
    {
        let mut key = NetworkKey::default();
        // SAFETY: `count` passes a reference.
        describe(socket, unsafe { &*process }, &mut key);
        add(generation::current(), &key, direction, bytes, 1);
    }
    0
}

/// Fills in what the system call that ends has moved, as if it had been deferred. `None` if there is
/// nothing to count.
#[inline(always)]
pub fn of_call(
    registers: KernelPtr,
    action: u8,
    narrow: bool,
    result: i64,
    deferred: &mut Deferred,
) -> Option<()> {
    let direction = match action {
        Action::SENDTO | Action::SENDMSG | Action::SENDMMSG => OUT,
        _ => IN,
    };
    let flags = match action {
        Action::SENDMSG | Action::RECVMSG => argument::<Untyped, 2>(registers, narrow),
        _ => argument::<Untyped, 3>(registers, narrow),
    };
    if direction == IN && flags as i32 & PEEK_FLAGS != 0 {
        return None;
    }
    let number = argument::<Untyped, 0>(registers, narrow) as u32;
    let socket = socket_of(file_of(task::current(), number)?)?;
    let process = counted_process()?;
    let is_many = action == Action::SENDMMSG || action == Action::RECVMMSG;
    // The result of a call with many messages is their number. Each message holds its own length.
    deferred.bytes = if is_many { UNBOUNDED } else { result as u64 };
    deferred.ops = if is_many { result as u64 } else { 1 };
    deferred.direction = direction;
    describe(socket, process, &mut deferred.key);
    Some(())
}
