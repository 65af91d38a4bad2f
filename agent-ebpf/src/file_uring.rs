//! The hook of io_uring. A request that completes still has its file and its result. Any task may
//! complete it, so its owner is read from the request.
//!
//! A completion may come without its request, and a request without a completion: see
//! `file_uring_submit` and `file_uring_overflow`.

use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::file::UringOffsets;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::offsets::ABSENT;
use bubble_common::kernel::settings::Settings;
use bubble_common::kernel::syscall::{self as calls, Action};
use bubble_common::kernel::task::TaskOffsets;

use crate::access::{Access, Untyped};
use crate::btf::{KernelPtr, Offset as _, address, offset};
use crate::cpu_state::counted;
use crate::descriptor::file_of;
use crate::file::{moved_unknown, opened_by_any, opened_unknown};
use crate::file_uring_submit::{forget, is_older, uring_completed_again};
use crate::network_accept::{network_accepted, network_connected};
use crate::settings::setting;
use crate::sum::{IN, OUT};
use crate::task;
use crate::transfer::{moved_by_any, moved_rarely, spliced, transfer_elsewhere};

/// `SPLICE_F_FD_IN_FIXED` of `linux/io_uring.h`: the number is not that of a descriptor.
const FIXED_INPUT: u32 = 1 << 31;

/// Ring and `user_data` of the last completion on this core, where the kernel reports a completion before
/// it finds its queue full.
#[map]
static URING_LAST: PerCpuArray<[u64; 2]> = PerCpuArray::with_max_entries(1, 0);

/// Whether this was the last completion on this core. Forgets it.
#[inline(always)]
pub fn was_completed(ring: u64, user_data: u64) -> bool {
    let Some(last) = URING_LAST.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: a pointer to this core's value of the map.
    unsafe {
        let is_last = *last == [ring, user_data];
        *last = [0; 2];
        is_last
    }
}

// TP_PROTO(struct io_ring_ctx *ctx, void *req, struct io_uring_cqe *cqe); before 6.15 the last is
// u64 user_data, int res, …: io_uring/io_uring.h, io_fill_cqe_req()
#[btf_tracepoint(function = "io_uring_complete")]
fn io_uring_complete(ctx: BtfTracePointContext) -> i32 {
    let request: u64 = ctx.arg(1);
    let ring: KernelPtr = ctx.arg(0);
    if setting!(completion_is_struct) == 0
        && is_older()
        && let Some(last) = URING_LAST.get_ptr_mut(0)
    {
        // SAFETY: a pointer to this core's value of the map.
        unsafe { *last = [address(ring), ctx.arg(2)] };
    }
    if request != 0 {
        uring_completed(request);
        return 0;
    }
    if setting!(completion_is_struct) == 0 {
        let user_data: u64 = ctx.arg(2);
        let result: i32 = ctx.arg(3);
        uring_completed_again(address(ring), user_data, result);
    } else {
        // `struct io_uring_cqe`: user_data (8 bytes), result (4 bytes).
        let entry: KernelPtr = ctx.arg(2);
        let entry = address(entry) as KernelPtr;
        let result: i32 = Untyped::at(entry.wrapping_add(8));
        uring_completed_again(address(ring), Untyped::at(entry), result);
    }
    0
}

/// Counts a request that has completed.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn uring_completed(request: u64) -> u32 {
    try_uring_completed(request as KernelPtr);
    0
}

#[inline(always)]
fn try_uring_completed(request: KernelPtr) -> Option<()> {
    let opcode: u8 = Untyped::read(request, offset!(UringOffsets, request_opcode));
    let ring: u64 = Untyped::read(request, offset!(UringOffsets, request_ring));
    let user_data: u64 = Untyped::read(request, offset!(UringOffsets, request_user_data));
    forget(opcode, ring, user_data);
    let action = calls::uring(opcode);
    if action == 0 {
        return None;
    }
    let result: i32 = Untyped::read(request, offset!(UringOffsets, request_result));
    let file: KernelPtr = Untyped::read(request, offset!(UringOffsets, request_file));
    let owner = owner_of(request);
    let pid: u32 = Untyped::read(owner, offset!(TaskOffsets, task_tgid));
    // SAFETY: this core's state.
    let here = counted().filter(|state| unsafe { (**state).running.key.pid == pid });
    if result < 0 {
        if here.is_some() && action == Action::CONNECT && is_connected_here() {
            network_connected(file as u64, result);
        }
        return None;
    }
    let bytes = result as u64;
    let Some(state) = here else {
        // The owner does not run here, so its descriptors cannot be read. The request has the file.
        let key = key_of(owner);
        match action {
            Action::READ => transfer_elsewhere(&key, file as u64, IN, bytes),
            Action::WRITE | Action::COPY | Action::TEE => {
                transfer_elsewhere(&key, file as u64, OUT, bytes)
            }
            _ => 0,
        };
        return None;
    };
    match action {
        Action::READ | Action::WRITE | Action::TEE => {
            let direction = if action == Action::READ { IN } else { OUT };
            moved_by_any(state, file, direction, bytes);
        }
        Action::COPY => {
            moved_rarely(file, OUT, bytes);
            let flags: u32 = Untyped::read(request, offset!(UringOffsets, splice_flags));
            let number: u32 = Untyped::read(request, offset!(UringOffsets, splice_in));
            match file_of(task::current(), number) {
                Some(input) if flags & FIXED_INPUT == 0 => spliced(input, bytes),
                _ => moved_unknown(IN, bytes),
            }
        }
        Action::OPEN if setting!(opens_by_function) == 0 => {
            let slot: u32 = Untyped::read(request, offset!(UringOffsets, open_slot));
            match file_of(task::current(), result as u32) {
                Some(file) if slot == 0 => opened_by_any(state, file),
                _ => opened_unknown(),
            }
        }
        Action::ACCEPT
            if is_connected_here()
                && Untyped::read::<u32>(request, offset!(UringOffsets, accept_slot)) == 0 =>
        {
            network_accepted(file_of(task::current(), result as u32)? as u64);
        }
        Action::CONNECT if is_connected_here() => {
            network_connected(file as u64, result);
        }
        _ => {}
    }
    Some(())
}

/// Whether connections of io_uring are counted here. With `vfs` hooks the kernel's functions count them
/// (`do_accept`, `__sys_connect_file`), which io_uring calls too.
#[inline(always)]
fn is_connected_here() -> bool {
    setting!(opens_by_function) == 0
}

/// The task that a request belongs to.
#[inline(always)]
fn owner_of(request: KernelPtr) -> KernelPtr {
    if offset!(UringOffsets, request_task).bytes() != ABSENT {
        return Untyped::read(request, offset!(UringOffsets, request_task));
    }
    let context: KernelPtr = Untyped::read(request, offset!(UringOffsets, request_context));
    Untyped::read(context, offset!(UringOffsets, context_task))
}

/// Like `task::key_of`, through a pointer without a type.
#[inline(always)]
fn key_of(owner: KernelPtr) -> ProcessKey {
    let leader: KernelPtr = Untyped::read(owner, offset!(TaskOffsets, task_group_leader));
    let set: KernelPtr = Untyped::read(owner, offset!(TaskOffsets, task_cgroups));
    let controller = setting!(controller);
    let cgroup: KernelPtr = if controller == Settings::UNIFIED {
        Untyped::read(set, offset!(TaskOffsets, css_set_dfl_cgrp))
    } else {
        let state: KernelPtr = Untyped::read(
            set.wrapping_add(controller as usize * 8),
            offset!(TaskOffsets, css_set_subsys),
        );
        Untyped::read(state, offset!(TaskOffsets, css_cgroup))
    };
    let node: KernelPtr = Untyped::read(cgroup, offset!(TaskOffsets, cgroup_kn));
    let exec: u64 = Untyped::read(owner, offset!(TaskOffsets, task_self_exec_id));
    ProcessKey {
        cgroup: Untyped::read(node, offset!(TaskOffsets, kernfs_node_id)),
        start: Untyped::read(leader, offset!(TaskOffsets, task_start_boottime)),
        pid: Untyped::read(owner, offset!(TaskOffsets, task_tgid)),
        exec: exec as u32,
    }
}
