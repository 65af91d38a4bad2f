//! Whom a datagram goes to or comes from, when the socket is not connected.
//!
//! The place where bytes of sockets are counted sees no message. Where the kernel
//! allows it, datagrams have hooks of their own (`network_message`). Else what
//! was counted waits here until the system call ends, whose arguments lead to
//! the address.

use aya_ebpf::{
    cty::c_void,
    helpers::{
        bpf_probe_read_user,
        generated::{bpf_loop, bpf_task_pt_regs},
    },
    macros::map,
    maps::HashMap,
};
use bubble_common::kernel::{
    network::{NetworkKey, family, protocol},
    syscall::Action,
};

use crate::{
    btf::Kernel,
    file::{Typed, Untyped, atomic_add},
    generation,
    network::{AF_INET, AF_INET6, add},
    network_exit, running, syscall,
};

/// What a system call in progress has moved so far.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PutOff {
    /// The socket's connection.
    pub key: NetworkKey,
    /// Bytes moved.
    pub bytes: u64,
    /// Messages, or calls that moved them.
    pub ops: u64,
    /// Into the process, or out of it.
    pub direction: u32,
    /// Zero.
    pub unused: u32,
}

/// By address of the task.
#[map]
static NETWORK_PUT_OFF: HashMap<u64, PutOff> = HashMap::with_max_entries(8192, 0);

/// How many wait there: mostly none, and then no system call need be looked up.
#[unsafe(no_mangle)]
static mut NETWORK_WAITING: u64 = 0;

/// Whether the end of a call with sockets may have something to count.
#[inline(always)]
pub fn may_wait() -> bool {
    // SAFETY: nobody has a reference to it; volatile as other cores change it.
    network_exit::in_use() || unsafe { core::ptr::read_volatile(&raw const NETWORK_WAITING) } != 0
}

/// Most messages of one `sendmmsg`: `UIO_MAXIOV` of `linux/uio.h`.
const MESSAGES: u64 = 1024;
/// Bytes of a `struct mmsghdr`, and of the `struct user_msghdr` that it begins with.
const MESSAGE_SIZE: u64 = 64;
const MESSAGE_LENGTH: u64 = 56;

/// Remembers what was moved until the system call ends; no when it has no address.
#[inline(always)]
pub fn put_off(key: &NetworkKey, direction: u32, bytes: u64) -> bool {
    let task = running::current();
    // SAFETY: the helper takes the typed pointer and gives another one.
    let registers = unsafe { bpf_task_pt_regs(task.cast_mut().cast()) } as Kernel;
    let action = syscall::action(task, registers);
    if action < Action::SENDTO {
        return false;
    }
    if (action == Action::SENDTO || action == Action::RECVFROM)
        && syscall::argument_4::<Typed>(registers) == 0
    {
        return false;
    }
    let place = task as u64;
    if let Some(waiting) = NETWORK_PUT_OFF.get_ptr_mut(&place) {
        // SAFETY: a pointer into the map's value; only this task uses it.
        unsafe {
            (*waiting).bytes += bytes;
            (*waiting).ops += 1;
        }
        return true;
    }
    let waiting = PutOff {
        key: *key,
        bytes,
        ops: 1,
        direction,
        unused: 0,
    };
    let waits = NETWORK_PUT_OFF.insert(&place, &waiting, 0).is_ok();
    if waits {
        // SAFETY: a global of that type.
        unsafe { atomic_add(&raw mut NETWORK_WAITING, 1) };
    }
    waits
}

/// Counts what was put off, at the end of the system call.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_settle(registers: u64, action: u32, result: u64) -> u32 {
    let registers = registers as Kernel;
    let action = action as u8;
    let place = running::current() as u64;
    let mut messages = Messages {
        waiting: PutOff {
            key: NetworkKey::default(),
            bytes: 0,
            ops: 0,
            direction: 0,
            unused: 0,
        },
        first: 0,
        own: [0; 2],
        own_port: 0,
    };
    if network_exit::in_use() {
        if network_exit::of_call(registers, action, result, &mut messages.waiting).is_none() {
            return 0;
        }
    } else {
        let Some(waiting) = NETWORK_PUT_OFF.get_ptr(&place) else {
            return 0;
        };
        // SAFETY: a pointer into the map's value; only this task uses it.
        messages.waiting = unsafe { *waiting };
    }
    messages.own = messages.waiting.key.peer;
    messages.own_port = messages.waiting.key.peer_port.into();
    let key = &mut messages.waiting.key;
    if action == Action::SENDTO || action == Action::RECVFROM {
        peer_at(syscall::argument_4::<Untyped>(registers), key);
    } else if action == Action::SENDMSG || action == Action::RECVMSG {
        message_peer(syscall::argument_1::<Untyped>(registers), key);
    } else {
        messages.first = syscall::argument_1::<Untyped>(registers);
        let count = if result > MESSAGES { MESSAGES } else { result };
        // SAFETY: the callback takes what is handed to it here.
        unsafe {
            let message: extern "C" fn(u32, *mut Messages) -> i64 = message;
            bpf_loop(
                count as u32,
                message as *mut c_void,
                (&raw mut messages).cast(),
                0,
            );
        }
        if network_exit::in_use() {
            return 0;
        }
    }
    let rest = &messages.waiting;
    if rest.bytes != 0 || rest.ops != 0 {
        add(
            generation::current(),
            &rest.key,
            rest.direction,
            rest.bytes,
            rest.ops,
        );
    }
    if !network_exit::in_use() && NETWORK_PUT_OFF.remove(&place).is_ok() {
        // SAFETY: a global of that type.
        unsafe { atomic_add(&raw mut NETWORK_WAITING, u64::MAX) };
    }
    0
}

/// What a call has moved in many messages.
#[repr(C)]
struct Messages {
    waiting: PutOff,
    first: u64,
    own: [u64; 2],
    own_port: u64,
}

/// Counts one of them.
extern "C" fn message(n: u32, messages: *mut Messages) -> i64 {
    // SAFETY: `network_settle` has handed it to `bpf_loop`.
    let messages = unsafe { &mut *messages };
    let waiting = &mut messages.waiting;
    let message = messages.first + u64::from(n) * MESSAGE_SIZE;
    // SAFETY: the helper takes any address.
    let length = unsafe { bpf_probe_read_user((message + MESSAGE_LENGTH) as *const u32) };
    // The program may have written there by now: never more than the kernel said.
    let length = u64::from(length.unwrap_or(0)).min(waiting.bytes);
    message_peer(message, &mut waiting.key);
    add(
        generation::current(),
        &waiting.key,
        waiting.direction,
        length,
        1,
    );
    waiting.key.peer = messages.own;
    waiting.key.peer_port = messages.own_port as u16;
    waiting.bytes -= length;
    waiting.ops = waiting.ops.saturating_sub(1);
    0
}

/// The peer that a `struct user_msghdr` points to.
#[inline(always)]
fn message_peer(message: u64, key: &mut NetworkKey) {
    // SAFETY: the helper takes any address.
    let name = unsafe { bpf_probe_read_user(message as *const u64) }.unwrap_or(0);
    peer_at(name, key);
}

/// The peer at a `struct sockaddr` of the program's; what it was stays when there is none.
#[inline(always)]
fn peer_at(address: u64, key: &mut NetworkKey) {
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

/// Sets an IPv4 peer (in network byte order), also of an IPv6 socket.
#[inline(always)]
pub fn set_v4(key: &mut NetworkKey, v4: u32, port: u16) {
    if key.family == family::V4 {
        key.peer = [u64::from(v4), 0];
    } else {
        // ::ffff:a.b.c.d
        key.peer = [0, u64::from(v4) << 32 | 0xffff_0000];
    }
    key.peer_port = port;
}
