//! Cgroups come and go: told with their path, by which a container is known even
//! when its cgroup is gone before the agent looks.

use aya_ebpf::{
    cty::c_void,
    helpers::generated,
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use bubble_common::kernel::{
    cgroup::{CgroupRecord, PATH_MAX},
    process::ProcessKey,
    record::Kind,
};

use crate::{
    bound::masked,
    btf::{Kernel, field},
    record, running,
    settings::setting,
};

#[repr(C)]
struct Told {
    record: CgroupRecord,
    path: [u8; PATH_MAX],
}

#[map]
static CGROUP: PerCpuArray<Told> = PerCpuArray::with_max_entries(1, 0);

// TP_PROTO(struct cgroup *cgrp, const char *path)
#[btf_tracepoint(function = "cgroup_mkdir")]
fn cgroup_made(ctx: BtfTracePointContext) -> i32 {
    try_tell(Kind::CGROUP_MADE, ctx.arg(0), ctx.arg(1));
    0
}

// TP_PROTO(struct cgroup *cgrp, const char *path)
#[btf_tracepoint(function = "cgroup_rmdir")]
fn cgroup_removed(ctx: BtfTracePointContext) -> i32 {
    try_tell(Kind::CGROUP_REMOVED, ctx.arg(0), ctx.arg(1));
    0
}

#[inline(always)]
fn try_tell(kind: Kind, cgroup: Kernel, path: *const u8) -> Option<()> {
    if hierarchy_of(cgroup) != setting!(hierarchy) {
        return None;
    }
    let told = CGROUP.get_ptr_mut(0)?;
    // SAFETY: this core's scratch; the kernel holds a lock with interrupts off around the hook.
    let told = unsafe { &mut *told };
    // SAFETY: the kernel's string, read with care for faults, into a buffer of that size.
    let length = unsafe {
        generated::bpf_probe_read_kernel_str(
            told.path.as_mut_ptr().cast::<c_void>(),
            PATH_MAX as u32,
            path.cast(),
        )
    };
    let length = if length > 1 && length <= PATH_MAX as i64 {
        masked::<{ PATH_MAX as i32 - 1 }>(length as u64 - 1)
    } else {
        0
    };
    told.record = CgroupRecord {
        header: record::header(
            kind,
            ProcessKey {
                cgroup: 0,
                start: 0,
                pid: 0,
                exec: 0,
            },
        ),
        cgroup: running::id_of(cgroup),
        path_len: length as u32,
        unused: 0,
    };
    let length = size_of::<CgroupRecord>() + length;
    // SAFETY: no longer than the scratch.
    unsafe { record::send_bytes(core::ptr::from_ref(told).cast(), length as u64, true) };
    Some(())
}

/// Number of the hierarchy that a cgroup belongs to; 0 is v2.
#[inline(always)]
pub fn hierarchy_of(cgroup: Kernel) -> u32 {
    let root: Kernel = field!(cgroup, cgroup_root);
    field!(root, cgroup_root_hierarchy_id)
}
