//! Files by io_uring: when a request is complete, it still has its file and its
//! result. It may be completed by whoever runs, so the request says whose it is.
//!
//! Not seen: requests that leave no completion (`IOSQE_CQE_SKIP_SUCCESS`), those that
//! complete many times over (multishot reads and accepts), and completions that
//! overflow their ring: the kernel tells of them without the request.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use bubble_common::kernel::{
    file::UringOffsets,
    offsets::{ABSENT, TaskOffsets},
    process::ProcessKey,
    settings::Settings,
    syscall::{self as calls, Action},
};

use crate::{
    btf::{Kernel, Offset as _, offset},
    file::{
        Access, IN, OUT, Untyped, file_elsewhere, moved_by_any, moved_rarely, moved_unknown,
        opened_by_any, opened_unknown,
    },
    network_accept, running,
    settings::setting,
    syscall::{file_of, spliced},
};

/// `SPLICE_F_FD_IN_FIXED` of `linux/io_uring.h`: the number is not a descriptor.
const FIXED_INPUT: u32 = 1 << 31;

// TP_PROTO(struct io_ring_ctx *ctx, void *req, …): io_uring/io_uring.h, io_fill_cqe_req()
#[btf_tracepoint(function = "io_uring_complete")]
fn io_uring_complete(ctx: BtfTracePointContext) -> i32 {
    try_io_uring_complete(ctx.arg(1));
    0
}

#[inline(always)]
fn try_io_uring_complete(request: Kernel) -> Option<()> {
    if request.is_null() {
        return None;
    }
    let opcode: u8 = Untyped::read(request, offset!(UringOffsets, request_opcode));
    let action = calls::uring(opcode);
    if action == 0 {
        return None;
    }
    let result: i32 = Untyped::read(request, offset!(UringOffsets, request_result));
    let file: Kernel = Untyped::read(request, offset!(UringOffsets, request_file));
    let owner = owner_of(request);
    let pid: u32 = Untyped::read(owner, offset!(TaskOffsets, task_tgid));
    // SAFETY: this core's value of the map.
    let here = running::counted_core().filter(|core| unsafe { (**core).running.key.pid == pid });
    if result < 0 {
        if here.is_some() && action == Action::CONNECT {
            network_accept::network_connected(file as u64, result);
        }
        return None;
    }
    let bytes = result as u64;
    let Some(core) = here else {
        // Its descriptors are not those of who runs; the file of the request is known all the same.
        let key = key_of(owner);
        match action {
            Action::READ => file_elsewhere(&key, file as u64, IN, bytes),
            Action::WRITE | Action::COPY | Action::TEE => {
                file_elsewhere(&key, file as u64, OUT, bytes)
            }
            _ => 0,
        };
        return None;
    };
    match action {
        Action::READ | Action::WRITE | Action::TEE => {
            let direction = if action == Action::READ { IN } else { OUT };
            moved_by_any(core, file, direction, bytes);
        }
        Action::COPY => {
            moved_rarely(file, OUT, bytes);
            let flags: u32 = Untyped::read(request, offset!(UringOffsets, splice_flags));
            let number: u32 = Untyped::read(request, offset!(UringOffsets, splice_in));
            match file_of(running::current(), number) {
                Some(input) if flags & FIXED_INPUT == 0 => spliced(input, bytes),
                _ => moved_unknown(IN, bytes),
            }
        }
        Action::OPEN if setting!(opens_by_function) == 0 => {
            let slot: u32 = Untyped::read(request, offset!(UringOffsets, open_slot));
            match file_of(running::current(), result as u32) {
                Some(file) if slot == 0 => opened_by_any(core, file),
                _ => opened_unknown(),
            }
        }
        Action::ACCEPT => {
            network_accept::network_accepted(file_of(running::current(), result as u32)? as u64);
        }
        Action::CONNECT => {
            network_accept::network_connected(file as u64, result);
        }
        _ => {}
    }
    Some(())
}

/// The task that a request belongs to.
#[inline(always)]
fn owner_of(request: Kernel) -> Kernel {
    if offset!(UringOffsets, request_task).bytes() != ABSENT {
        return Untyped::read(request, offset!(UringOffsets, request_task));
    }
    let context: Kernel = Untyped::read(request, offset!(UringOffsets, request_context));
    Untyped::read(context, offset!(UringOffsets, context_task))
}

/// What `running::key_of` says, of a pointer that the verifier does not know.
#[inline(always)]
fn key_of(owner: Kernel) -> ProcessKey {
    let leader: Kernel = Untyped::read(owner, offset!(TaskOffsets, task_group_leader));
    let set: Kernel = Untyped::read(owner, offset!(TaskOffsets, task_cgroups));
    let controller = setting!(controller);
    let cgroup: Kernel = if controller == Settings::UNIFIED {
        Untyped::read(set, offset!(TaskOffsets, css_set_dfl_cgrp))
    } else {
        let state: Kernel = Untyped::read(
            set.wrapping_add(controller as usize * 8),
            offset!(TaskOffsets, css_set_subsys),
        );
        Untyped::read(state, offset!(TaskOffsets, css_cgroup))
    };
    let node: Kernel = Untyped::read(cgroup, offset!(TaskOffsets, cgroup_kn));
    let exec: u64 = Untyped::read(owner, offset!(TaskOffsets, task_self_exec_id));
    ProcessKey {
        cgroup: Untyped::read(node, offset!(TaskOffsets, kernfs_node_id)),
        start: Untyped::read(leader, offset!(TaskOffsets, task_start_boottime)),
        pid: Untyped::read(owner, offset!(TaskOffsets, task_tgid)),
        exec: exec as u32,
    }
}
