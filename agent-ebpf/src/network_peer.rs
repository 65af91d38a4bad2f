//! The peer of a datagram whose socket is not connected.
//!
//! The place where bytes of sockets are counted sees no message. Where the kernel allows it, datagrams
//! have their own hooks (`network_vfs`). Elsewhere counting is deferred to syscall exit
//! (`network_deferred`), where the arguments of the call lead to the address.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::helpers::generated::{bpf_loop, bpf_task_pt_regs};
use bubble_common::kernel::network::{NetworkKey, protocol};
use bubble_common::kernel::syscall::Action;

use crate::access::{Typed, Untyped};
use crate::btf::{KernelPtr, address};
use crate::log::{self, Limit};
use crate::network_deferred::{self as deferred, Deferred};
use crate::network_key::{AF_INET, AF_INET6, set_v4};
use crate::network_sum::add;
use crate::registers::{action, argument, is_in_call, is_narrow};
use crate::{generation, network_exit, task};

/// Whether there may be something to count at the end of a call that sends or receives messages.
#[inline(always)]
pub fn any_deferred() -> bool {
    network_exit::in_use() || deferred::any()
}

/// Maximum number of messages of one `sendmmsg`: `UIO_MAXIOV` of `linux/uio.h`.
const MAX_MESSAGES: u64 = 1024;
/// Size of a `struct mmsghdr`, and of the `struct user_msghdr` at its beginning.
const MESSAGE_SIZE: u64 = 64;
const MESSAGE_LENGTH: u64 = 56;
/// The same of a 32-bit program: `struct compat_mmsghdr` and `struct compat_msghdr`.
const NARROW_SIZE: u64 = 32;
const NARROW_LENGTH: u64 = 28;

/// Defers counting to syscall exit. Returns false if the call carries no address, or if no call of this
/// thread is in progress.
#[inline(always)]
pub fn defer(key: &NetworkKey, direction: u32, bytes: u64) -> bool {
    let task = task::current();
    // SAFETY: the helper takes a typed pointer and returns another one.
    let registers = unsafe { bpf_task_pt_regs(task.cast_mut().cast()) } as KernelPtr;
    if !is_in_call(registers) {
        return false;
    }
    let narrow = is_narrow(task);
    let action = action(registers, narrow);
    if !Action::is_message(action) {
        return false;
    }
    if (action == Action::SENDTO || action == Action::RECVFROM)
        && argument::<Typed, 4>(registers, narrow) == 0
    {
        return false;
    }
    let new = Deferred {
        key: *key,
        bytes,
        ops: 1,
        direction,
        action: action.into(),
        thread: task::id(task),
        narrow: 0,
    };
    let task = address(task);
    if let Some(deferred) = deferred::get(&task) {
        // SAFETY: a pointer to the map's value, which only this task uses.
        unsafe {
            if (*deferred).is_of_call(&new) {
                (*deferred).bytes += bytes;
                (*deferred).ops += 1;
                return true;
            }
        }
        network_abandon(task);
    }
    let inserted = deferred::insert(&task, &new);
    if !inserted {
        log::limit(Limit::DEFERRED_MAP, bytes);
    }
    inserted
}

/// Counts without a peer what a thread that exits has deferred.
#[inline(always)]
pub fn abandon(task: KernelPtr) {
    if deferred::any() {
        network_abandon(address(task));
    }
}

/// Counts without a peer what was deferred under this address of a task, and removes it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_abandon(task: u64) -> u32 {
    if let Some(deferred) = deferred::get(&task) {
        // SAFETY: a pointer to the map's value, which stays until it is removed. A copy would not fit on
        // the stack of older kernels.
        add_rest(unsafe { &*deferred });
        deferred::remove(&task);
    }
    0
}

/// Counts at syscall exit what was deferred. `result` is that of the call, which may have failed after
/// it moved the bytes: their peer is then unknown.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_complete(registers: u64, action: u32, narrow: u32, result: i64) -> u32 {
    let registers = registers as KernelPtr;
    let action = action as u8;
    let mut messages = Messages {
        rest: Deferred {
            key: NetworkKey::default(),
            bytes: 0,
            ops: 0,
            direction: 0,
            action: action.into(),
            thread: 0,
            narrow: 0,
        },
        first: 0,
        socket_peer: [0; 2],
        socket_peer_port: 0,
    };
    messages.rest.narrow = narrow;
    if network_exit::in_use() {
        if result < 0
            || network_exit::of_call(registers, action, narrow != 0, result, &mut messages.rest)
                .is_none()
        {
            return 0;
        }
    } else if !take_deferred(action, &mut messages.rest) {
        return 0;
    }
    messages.socket_peer = messages.rest.key.peer;
    messages.socket_peer_port = messages.rest.key.peer_port.into();
    let key = &mut messages.rest.key;
    if result < 0 {
        // The call has written neither addresses nor lengths that could be trusted.
    } else if action == Action::SENDTO || action == Action::RECVFROM {
        read_peer(argument::<Untyped, 4>(registers, narrow != 0), key);
    } else if action == Action::SENDMSG || action == Action::RECVMSG {
        read_message_peer(
            argument::<Untyped, 1>(registers, narrow != 0),
            narrow != 0,
            key,
        );
    } else {
        count_messages(
            argument::<Untyped, 1>(registers, narrow != 0),
            result as u64,
            &mut messages,
        );
        if network_exit::in_use() {
            return 0;
        }
    }
    add_rest(&messages.rest);
    0
}

/// Takes what this thread has deferred in a call with this action; false if there is nothing.
#[inline(always)]
fn take_deferred(action: u8, rest: &mut Deferred) -> bool {
    let task = task::current();
    let at = address(task);
    let Some(deferred) = deferred::get(&at) else {
        return false;
    };
    // SAFETY: a pointer to the map's value, which only this task uses.
    *rest = unsafe { *deferred };
    deferred::remove(&at);
    let is_mine = rest.thread == task::id(task)
        && rest.action == action.into()
        && rest.key.process.start == task::start(task);
    if !is_mine {
        add_rest(rest);
    }
    is_mine
}

/// Counts what is left under its key.
#[inline(always)]
fn add_rest(rest: &Deferred) {
    if rest.bytes != 0 || rest.ops != 0 {
        add(
            generation::current(),
            &rest.key,
            rest.direction,
            rest.bytes,
            rest.ops,
        );
    }
}

/// Messages of one call, some of which are counted already.
#[repr(C)]
struct Messages {
    /// What is not counted yet.
    rest: Deferred,
    /// Address of the first message.
    first: u64,
    /// Peer of the socket, for messages without an address.
    socket_peer: [u64; 2],
    socket_peer_port: u64,
}

/// Counts the messages of `sendmmsg` or `recvmmsg`: `result` elements of the array at `first`.
#[inline(always)]
fn count_messages(first: u64, result: u64, messages: &mut Messages) {
    messages.first = first;
    let count = if result > MAX_MESSAGES {
        MAX_MESSAGES
    } else {
        result
    };
    // SAFETY: the callback's second argument is the one passed here.
    unsafe {
        let callback: extern "C" fn(u32, *mut Messages) -> i64 = count_message;
        bpf_loop(
            count as u32,
            callback as *mut c_void,
            core::ptr::from_mut(messages).cast(),
            0,
        );
    }
}

extern "C" fn count_message(n: u32, messages: *mut Messages) -> i64 {
    // SAFETY: `bpf_loop` passes what `count_messages` gave it.
    let messages = unsafe { &mut *messages };
    let rest = &mut messages.rest;
    let narrow = rest.narrow != 0;
    let (size, length) = if narrow {
        (NARROW_SIZE, NARROW_LENGTH)
    } else {
        (MESSAGE_SIZE, MESSAGE_LENGTH)
    };
    let message = messages.first + u64::from(n) * size;
    // SAFETY: the helper takes any address.
    let length = unsafe { bpf_probe_read_user((message + length) as *const u32) };
    // The program may have changed it meanwhile: never more than the kernel reported.
    let length = u64::from(length.unwrap_or(0)).min(rest.bytes);
    read_message_peer(message, narrow, &mut rest.key);
    add(generation::current(), &rest.key, rest.direction, length, 1);
    rest.key.peer = messages.socket_peer;
    rest.key.peer_port = messages.socket_peer_port as u16;
    rest.bytes -= length;
    rest.ops = rest.ops.saturating_sub(1);
    0
}

/// Reads the peer from a `struct user_msghdr`.
#[inline(always)]
fn read_message_peer(message: u64, narrow: bool, key: &mut NetworkKey) {
    // SAFETY: the helper takes any address.
    let name = unsafe {
        if narrow {
            bpf_probe_read_user(message as *const u32).map(u64::from)
        } else {
            bpf_probe_read_user(message as *const u64)
        }
    };
    read_peer(name.unwrap_or(0), key);
}

/// Reads the peer from a `struct sockaddr` in the program's memory. Leaves the key as it is if there is
/// none.
#[inline(always)]
fn read_peer(address: u64, key: &mut NetworkKey) {
    if address == 0 {
        return;
    }
    // SAFETY: the helper takes any address.
    let Ok(head) = (unsafe { bpf_probe_read_user(address as *const [u16; 4]) }) else {
        return;
    };
    if head[0] == AF_INET && key.protocol == protocol::UDP {
        let v4 = u64::from(head[2]) | u64::from(head[3]) << 16;
        set_v4(key, v4 as u32, head[1].swap_bytes());
    } else if head[0] == AF_INET6 && key.protocol == protocol::UDP {
        // SAFETY: likewise; port and flow come before the address.
        if let Ok(v6) = unsafe { bpf_probe_read_user((address + 8) as *const [u64; 2]) } {
            key.peer = v6;
            key.peer_port = head[1].swap_bytes();
        }
    }
}
