//! Cgroups that are created and removed. The record holds the path, which identifies the container even
//! if the cgroup is gone before the agent reads the record.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::cgroup::{CgroupRecord, PATH_MAX};
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::record::Kind;

use crate::bound::masked;
use crate::btf::KernelPtr;
use crate::log::{self, Limit};
use crate::record;
use crate::settings::setting;
use crate::task::{cgroup_id, hierarchy_of};

/// A record, followed by the path.
#[repr(C)]
struct Buffer {
    record: CgroupRecord,
    path: [u8; PATH_MAX],
}

#[map]
static CGROUP: PerCpuArray<Buffer> = PerCpuArray::with_max_entries(1, 0);

// TP_PROTO(struct cgroup *cgrp, const char *path)
#[btf_tracepoint(function = "cgroup_mkdir")]
fn cgroup_made(ctx: BtfTracePointContext) -> i32 {
    try_send(Kind::CGROUP_MADE, ctx.arg(0), ctx.arg(1));
    0
}

// TP_PROTO(struct cgroup *cgrp, const char *path)
#[btf_tracepoint(function = "cgroup_rmdir")]
fn cgroup_removed(ctx: BtfTracePointContext) -> i32 {
    try_send(Kind::CGROUP_REMOVED, ctx.arg(0), ctx.arg(1));
    0
}

#[inline(always)]
fn try_send(kind: Kind, cgroup: KernelPtr, path: *const u8) -> Option<()> {
    if hierarchy_of(cgroup) != setting!(hierarchy) {
        return None;
    }
    let buffer = CGROUP.get_ptr_mut(0)?;
    // SAFETY: this core's buffer; the kernel holds a lock with interrupts off around the hook.
    let buffer = unsafe { &mut *buffer };
    // SAFETY: the helper handles faults, and the buffer has that size.
    let length = unsafe {
        generated::bpf_probe_read_kernel_str(
            buffer.path.as_mut_ptr().cast::<c_void>(),
            PATH_MAX as u32,
            path.cast(),
        )
    };
    let length = if length > 1 && length <= PATH_MAX as i64 {
        masked::<{ PATH_MAX as i32 - 1 }>(length as u64 - 1)
    } else {
        0
    };
    if length == 0 || length == PATH_MAX - 1 {
        log::limit(Limit::CGROUP_PATH, cgroup_id(cgroup));
    }
    buffer.record = CgroupRecord {
        header: record::header(
            kind,
            ProcessKey {
                cgroup: 0,
                start: 0,
                pid: 0,
                exec: 0,
            },
        ),
        cgroup: cgroup_id(cgroup),
        path_len: length as u32,
        unused: 0,
    };
    let length = size_of::<CgroupRecord>() + length;
    // SAFETY: no longer than the buffer.
    unsafe { record::send_bytes(core::ptr::from_ref(buffer).cast(), length as u64, true) };
    Some(())
}
