//! The life of processes: forked, running another program, renamed, ended; and
//! those that were there before. Threads are of no interest here: they charge
//! their process.
//!
//! Everything that can be known only while the process is there (arguments,
//! user, its number in the container) is read here, as it may be gone before
//! the agent looks.

use aya_ebpf::{
    cty::c_void,
    helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes, generated},
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use bubble_common::kernel::{
    offsets::{TaskOffsets, UPID_SIZE},
    process::{ARGS_MAX, Comm, EXE_MAX, ExecRecord, ExitRecord, ProcessKey, ProcessRecord},
    record::Kind,
};

use crate::{
    bound::masked,
    btf::{Kernel, Offset as _, field, offset},
    cpu, record, running,
    settings::setting,
};

/// `SIGNAL_GROUP_EXIT` of the kernel's `sched/signal.h`.
const GROUP_EXIT: u32 = 4;

/// An exec as it is sent: the two texts follow the record without a gap.
#[repr(C)]
struct Exec {
    record: ExecRecord,
    text: [u8; EXE_MAX + ARGS_MAX],
}

#[map]
static EXEC: PerCpuArray<Exec> = PerCpuArray::with_max_entries(1, 0);

// TP_PROTO(struct task_struct *parent, struct task_struct *child)
#[btf_tracepoint(function = "sched_process_fork")]
fn process_fork(ctx: BtfTracePointContext) -> i32 {
    let child: Kernel = ctx.arg(1);
    if is_leader(child) {
        tell(Kind::FORK, child);
    }
    0
}

// TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
#[btf_tracepoint(function = "sched_process_exec")]
fn process_exec(ctx: BtfTracePointContext) -> i32 {
    let task: Kernel = ctx.arg(0);
    let program: Kernel = ctx.arg(2);
    try_process_exec(task, program);
    0
}

#[inline(always)]
fn try_process_exec(task: Kernel, program: Kernel) -> Option<()> {
    refresh(task)?;
    let key = running::key_of(task);
    if running::is_ignored(key.cgroup) {
        return None;
    }
    let exec = EXEC.get_ptr_mut(0)?;
    // SAFETY: this core's scratch, which nothing but this program uses, and no task is switched
    // while it runs.
    let exec = unsafe { &mut *exec };
    exec.record.process = describe(Kind::EXEC, task, key);
    let signal: Kernel = field!(task, task_signal);
    exec.record.peak_pages = field!(signal, signal_maxrss);
    exec.record.unused = 0;

    let name: *const u8 = field!(program, bprm_filename);
    // SAFETY: the kernel's string, read with care for faults, into a buffer of that size.
    let exe_len = unsafe {
        generated::bpf_probe_read_kernel_str(
            exec.text.as_mut_ptr().cast::<c_void>(),
            EXE_MAX as u32,
            name.cast(),
        )
    };
    // The length is with the NUL, which the first of the arguments overwrites.
    let exe_len = if exe_len > 1 && exe_len <= EXE_MAX as i64 {
        masked::<{ EXE_MAX as i32 - 1 }>(exe_len as u64 - 1)
    } else {
        0
    };

    let mm: Kernel = field!(task, task_mm);
    let mut args_total = 0;
    let mut args_len = 0;
    if !mm.is_null() {
        let start: u64 = field!(mm, mm_arg_start);
        let end: u64 = field!(mm, mm_arg_end);
        args_total = end.saturating_sub(start);
        args_len = masked::<{ ARGS_MAX as i32 - 1 }>(args_total.min(ARGS_MAX as u64 - 1));
        // SAFETY: the bytes after the path, of which there are ARGS_MAX; the pages were just
        // written by the kernel itself, so they are there.
        let result = unsafe {
            generated::bpf_probe_read_user(
                exec.text.as_mut_ptr().add(exe_len).cast::<c_void>(),
                args_len as u32,
                start as *const c_void,
            )
        };
        if result != 0 {
            args_len = 0;
        }
    }
    exec.record.exe_len = exe_len as u32;
    exec.record.args_len = args_len as u32;
    exec.record.args_total = args_total.min(u64::from(u32::MAX)) as u32;
    let length = size_of::<ExecRecord>() + exe_len + args_len;
    // SAFETY: no longer than the scratch.
    unsafe { record::send_bytes(core::ptr::from_ref(exec).cast(), length as u64, false) };
    Some(())
}

// TP_PROTO(struct task_struct *p); since 6.16 (struct task_struct *p, bool group_dead)
#[btf_tracepoint(function = "sched_process_exit")]
fn process_exit(ctx: BtfTracePointContext) -> i32 {
    let task: Kernel = ctx.arg(0);
    try_process_exit(task);
    0
}

#[inline(always)]
fn try_process_exit(task: Kernel) -> Option<()> {
    let signal: Kernel = field!(task, task_signal);
    // Two threads that end at once may both see 0: the agent takes the first.
    let live: i32 = field!(signal, signal_live);
    if live != 0 || running::is_kernel_thread(task) {
        return None;
    }
    let key = running::key_of(task);
    if running::is_ignored(key.cgroup) {
        return None;
    }
    let flags: u32 = field!(signal, signal_flags);
    let status: u32 = if flags & GROUP_EXIT != 0 {
        field!(signal, signal_group_exit_code)
    } else {
        let leader: Kernel = field!(task, task_group_leader);
        field!(leader, task_exit_code)
    };
    let mut vm_pages = 0;
    if setting!(exit_has_memory) != 0 {
        let mm: Kernel = field!(task, task_mm);
        if !mm.is_null() {
            vm_pages = field!(mm, mm_total_vm);
        }
    }
    let container_pid = container_pid(task);
    let record = ExitRecord {
        header: record::header(Kind::EXIT, key),
        peak_pages: field!(signal, signal_maxrss),
        vm_pages,
        status,
        container_pid,
        comm: comm_of(task),
    };
    if container_pid == 1 {
        // With it the container ends, and its cgroup will soon be gone.
        record::send_urgently(&record);
    } else {
        record::send(&record);
    }
    Some(())
}

// TP_PROTO(struct task_struct *task, const char *comm)
#[btf_tracepoint(function = "task_rename")]
fn process_rename(ctx: BtfTracePointContext) -> i32 {
    let task: Kernel = ctx.arg(0);
    let comm: *const u8 = ctx.arg(1);
    if is_leader(task) && !is_in_exec(task) {
        try_process_rename(task, comm);
    }
    0
}

/// Whether the kernel is giving a task another program, of which it tells when it is done: the memory is that
/// program's already, and has no arguments yet (fs/exec.c, begin_new_exec()).
#[inline(always)]
fn is_in_exec(task: Kernel) -> bool {
    let mm: Kernel = field!(task, task_mm);
    // A thread of the kernel's has none.
    !mm.is_null() && {
        let start: u64 = field!(mm, mm_arg_start);
        start == 0
    }
}

#[inline(always)]
fn try_process_rename(task: Kernel, comm: *const u8) -> Option<()> {
    let key = running::key_of(task);
    if running::is_ignored(key.cgroup) {
        return None;
    }
    let mut record = describe(Kind::RENAME, task, key);
    // It is told before the name changes.
    record.comm = [0; 16];
    // SAFETY: the kernel's string, read with care for faults.
    unsafe { bpf_probe_read_kernel_str_bytes(comm, &mut record.comm) }.ok()?;
    record::send(&record);
    Some(())
}

// TP_PROTO(struct cgroup *dst_cgrp, const char *path, struct task_struct *task, bool threadgroup)
#[btf_tracepoint(function = "cgroup_attach_task")]
fn process_attach(ctx: BtfTracePointContext) -> i32 {
    let cgroup: Kernel = ctx.arg(0);
    let task: Kernel = ctx.arg(2);
    if crate::cgroup::hierarchy_of(cgroup) == setting!(hierarchy) {
        if task == running::current() {
            refresh(task);
        }
        if is_leader(task) {
            tell(Kind::ATTACH, task);
        }
    }
    0
}

/// Tells of every process that is there: `struct bpf_iter__task { meta, task }`.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn process_alive(ctx: *const Kernel) -> i32 {
    // SAFETY: the context of this type of program, which the verifier knows.
    let task = unsafe { core::ptr::read_volatile(ctx.add(1)) };
    if !task.is_null() && is_leader(task) && !running::is_kernel_thread(task) {
        tell(Kind::ALIVE, task);
    }
    0
}

/// Charges the task that runs here up to now, as it is about to be somebody else.
#[inline(always)]
fn refresh(task: Kernel) -> Option<()> {
    let core = running::core()?;
    // SAFETY: this core's scratch; no task is switched while a tracepoint's program runs, and the
    // flag keeps the interrupt of `cpu_flush` off.
    unsafe {
        let here = &raw mut (*core).running;
        let busy = &raw mut (*here).busy;
        core::ptr::write_volatile(busy, 1);
        cpu::charge(core, task);
        running::set(here, task);
        core::ptr::write_volatile(busy, 0);
    }
    Some(())
}

#[inline(always)]
fn is_leader(task: Kernel) -> bool {
    let pid: u32 = field!(task, task_pid);
    let tgid: u32 = field!(task, task_tgid);
    pid == tgid
}

#[inline(always)]
fn tell(kind: Kind, task: Kernel) {
    let key = running::key_of(task);
    if !running::is_ignored(key.cgroup) {
        record::send(&describe(kind, task, key));
    }
}

#[inline(always)]
fn describe(kind: Kind, task: Kernel, key: ProcessKey) -> ProcessRecord {
    let parent: Kernel = field!(task, task_real_parent);
    let cred: Kernel = field!(task, task_cred);
    ProcessRecord {
        header: record::header(kind, key),
        parent: running::key_of(parent),
        uid: field!(cred, cred_euid),
        container_pid: container_pid(task),
        comm: comm_of(task),
    }
}

#[inline(always)]
fn comm_of(task: Kernel) -> Comm {
    let name: [u64; 2] = field!(task, task_comm);
    // SAFETY: as many bytes, and any are a name.
    unsafe { core::mem::transmute::<[u64; 2], Comm>(name) }
}

/// The process's number in the innermost pid namespace that it is in.
#[inline(always)]
fn container_pid(task_: Kernel) -> u32 {
    let pid: Kernel = field!(task_, task_thread_pid);
    if pid.is_null() {
        return 0;
    }
    let level: u32 = field!(pid, pid_level);
    let numbers = offset!(TaskOffsets, pid_numbers).bytes() + offset!(TaskOffsets, upid_nr).bytes();
    // The element is chosen at run time, which a typed pointer does not allow.
    // SAFETY: read with care for faults.
    unsafe {
        bpf_probe_read_kernel(
            pid.add((numbers + level * UPID_SIZE) as usize)
                .cast::<u32>(),
        )
    }
    .unwrap_or(0)
}
