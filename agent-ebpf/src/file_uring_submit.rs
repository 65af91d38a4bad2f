//! Requests of io_uring that have to be noted when they are submitted, because their completion has no
//! request, or because they have none at all.
//!
//! | request | counted |
//! |---|---|
//! | multishot read or accept: one completion each time, without the request | exactly |
//! | `IOSQE_CQE_SKIP_SUCCESS` | noted as uncounted, with the bytes that it asks for |
//! | `IORING_OP_URING_CMD` of a device, zero-copy receive | noted as uncounted |

use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::file::UringOffsets;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::syscall::{self as calls, Action};
use bubble_common::kernel::unseen::Kind;

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, address, offset};
use crate::cpu_state::counted_process;
use crate::descriptor::{file_of, is_socket};
use crate::network_accept::network_accepted;
use crate::settings::setting;
use crate::sum::IN;
use crate::task;
use crate::transfer::transfer_elsewhere;
use crate::unseen::unseen;

/// Flags of a request: `REQ_F_FIXED_FILE` and `REQ_F_CQE_SKIP` of `linux/io_uring_types.h`, equal to those
/// of the queue's entry.
const FIXED_FILE: u32 = 1;
const SKIP_SUCCESS: u32 = 1 << 6;
/// Operations of `linux/io_uring.h`.
const READ_FIXED: u8 = 4;
const WRITE_FIXED: u8 = 5;
const SENDMSG: u8 = 9;
const RECVMSG: u8 = 10;
const ACCEPT: u8 = 13;
const READ: u8 = 22;
const WRITE: u8 = 23;
const SEND: u8 = 26;
const RECV: u8 = 27;
const DEVICE_COMMAND: u8 = 46;
const SEND_ZERO_COPY: u8 = 47;
const SENDMSG_ZERO_COPY: u8 = 48;
const READ_MULTISHOT: u8 = 49;
const RECEIVE_ZERO_COPY: u8 = 58;

/// A request that completes many times.
#[repr(C)]
#[derive(Clone, Copy)]
struct Multishot {
    process: ProcessKey,
    /// Its `struct file`, which it holds; 0 if its number is not that of a descriptor.
    file: u64,
    opcode: u64,
}

/// By address of the ring and the program's number of the request.
#[map]
static URING_MULTISHOT: LruHashMap<[u64; 2], Multishot> = LruHashMap::with_max_entries(8192, 0);

// TP_PROTO(struct io_kiocb *req): io_uring/io_uring.c, io_submit_sqe()
#[btf_tracepoint(function = "io_uring_submit_req")]
fn uring_submitted(ctx: BtfTracePointContext) -> i32 {
    submitted(ctx.arg(0));
    0
}

/// Not 0 once a request was submitted to a kernel that has the tracepoint's former name. Such a kernel
/// (seen: 6.1) reports a completion before it finds its queue full, and newer ones only if it fits.
#[unsafe(no_mangle)]
static mut URING_OLDER: u64 = 0;

/// Whether the kernel reports a completion before it finds its queue full.
#[inline(always)]
pub fn is_older() -> bool {
    // SAFETY: no reference to it exists; volatile because other cores change it.
    unsafe { core::ptr::read_volatile(&raw const URING_OLDER) != 0 }
}

// Its former name. TP_PROTO(struct io_kiocb *req, bool force_nonblock)
#[btf_tracepoint(function = "io_uring_submit_sqe")]
fn uring_submitted_older(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: likewise.
    unsafe { core::ptr::write_volatile(&raw mut URING_OLDER, 1) };
    submitted(ctx.arg(0));
    0
}

#[inline(always)]
fn submitted(request: KernelPtr) {
    let opcode: u8 = Typed::read(request, offset!(UringOffsets, request_opcode));
    let flags: u32 = Typed::read(request, offset!(UringOffsets, request_flags));
    let is_special = matches!(
        opcode,
        ACCEPT | DEVICE_COMMAND | READ_MULTISHOT | RECEIVE_ZERO_COPY
    );
    if is_special || flags & SKIP_SUCCESS != 0 {
        uring_note(address(request));
    }
}

/// Keeps a request that may complete many times, and notes one that will not be seen.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn uring_note(request: u64) -> u32 {
    let request = request as KernelPtr;
    let Some(process) = counted_process() else {
        return 0;
    };
    let opcode: u8 = Untyped::read(request, offset!(UringOffsets, request_opcode));
    let flags: u32 = Untyped::read(request, offset!(UringOffsets, request_flags));
    let number: u32 = Untyped::read(request, offset!(UringOffsets, request_number));
    let file = if flags & FIXED_FILE == 0 {
        file_of(task::current(), number)
    } else {
        None
    };
    if matches!(opcode, ACCEPT | READ_MULTISHOT | RECEIVE_ZERO_COPY) {
        if opcode == ACCEPT
            && Untyped::read::<u32>(request, offset!(UringOffsets, accept_slot)) != 0
        {
            return 0;
        }
        let key = [
            Untyped::read(request, offset!(UringOffsets, request_ring)),
            Untyped::read(request, offset!(UringOffsets, request_user_data)),
        ];
        let multishot = Multishot {
            process: *process,
            file: file.map_or(0, |file| file as u64),
            opcode: opcode.into(),
        };
        let _ = URING_MULTISHOT.insert(&key, &multishot, 0);
        return 0;
    }
    let is_of_socket = file.is_some_and(is_socket);
    if opcode == DEVICE_COMMAND {
        if !is_of_socket {
            unseen(process.cgroup, Kind::URING, 1, 0);
        }
        return 0;
    }
    let is_message = matches!(
        opcode,
        SENDMSG | RECVMSG | SEND | RECV | SEND_ZERO_COPY | SENDMSG_ZERO_COPY
    );
    let is_counted = match calls::uring(opcode) {
        // The hooks of sockets count it.
        Action::READ | Action::WRITE => {
            (is_of_socket || is_message) && setting!(sockets_at_exit) == 0
        }
        Action::OPEN => setting!(opens_by_function) != 0,
        Action::CONNECT | 0 => true,
        _ => false,
    };
    if !is_counted {
        let bytes: u32 = if matches!(opcode, READ | WRITE | READ_FIXED | WRITE_FIXED) {
            Untyped::read(request, offset!(UringOffsets, request_length))
        } else {
            0
        };
        unseen(process.cgroup, Kind::URING, 1, bytes.into());
    }
    0
}

/// Counts a completion without a request: of one that completes many times. Returns 0 if no such request
/// is known.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn uring_completed_again(ring: u64, user_data: u64, result: i32) -> u32 {
    let Some(multishot) = URING_MULTISHOT.get_ptr(&[ring, user_data]) else {
        return 0;
    };
    // SAFETY: a pointer to the map's value.
    let multishot = unsafe { *multishot };
    if result < 0 {
        return 1;
    }
    let process = &multishot.process;
    match multishot.opcode as u8 {
        READ_MULTISHOT if multishot.file != 0 => {
            transfer_elsewhere(process, multishot.file, IN, result as u64);
        }
        ACCEPT => {
            // With `vfs` hooks `do_accept` counts it.
            if setting!(opens_by_function) == 0
                && let Some(here) = counted_process()
                && here.pid == process.pid
                && let Some(file) = file_of(task::current(), result as u32)
            {
                network_accepted(file as u64);
            }
        }
        _ => unseen(process.cgroup, Kind::URING, 1, result as u64),
    }
    1
}

/// Forgets a request that has completed for the last time.
#[inline(always)]
pub fn forget(opcode: u8, ring: u64, user_data: u64) {
    if matches!(opcode, ACCEPT | READ_MULTISHOT | RECEIVE_ZERO_COPY) {
        let _ = URING_MULTISHOT.remove(&[ring, user_data]);
    }
}
