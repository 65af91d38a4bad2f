//! The life of processes: fork, exec, rename, exit, and the processes that already ran when the agent
//! started. Threads do not matter here: they charge their process.
//!
//! What can be read only while the process exists (arguments, user, process id in the container) is
//! read here, as the process may be gone before the agent reads the record.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes, generated};
use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::process::{
    ARGS_MAX, Comm, EXE_MAX, ExecRecord, ExitRecord, ProcessRecord,
};
use bubble_common::kernel::record::Kind;
use bubble_common::kernel::task::{TaskOffsets, UPID_SIZE};

use crate::access::Untyped;
use crate::bound::masked;
use crate::btf::{KernelPtr, Offset as _, field, offset};
use crate::cpu_moved::tell_cores;
use crate::cpu_state::is_ignored;
use crate::file_chain::Location;
use crate::log::{self, Limit};
use crate::settings::setting;
use crate::switch::process_changed;
use crate::task::{self, hierarchy_of, is_leader, key_of};
use crate::{file_aio, file_path, network_peer, record};

/// `SIGNAL_GROUP_EXIT` of the kernel's `sched/signal.h`.
const GROUP_EXIT: u32 = 4;

/// A record of an exec. Path and arguments follow it without a gap.
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
    let child: KernelPtr = ctx.arg(1);
    if is_leader(child) {
        send(Kind::FORK, child);
    }
    0
}

// TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
#[btf_tracepoint(function = "sched_process_exec")]
fn process_exec(ctx: BtfTracePointContext) -> i32 {
    let task: KernelPtr = ctx.arg(0);
    try_process_exec(task);
    0
}

#[inline(always)]
fn try_process_exec(task: KernelPtr) -> Option<()> {
    process_changed(task)?;
    let key = key_of(task);
    if is_ignored(key.cgroup) {
        return None;
    }
    let exec = EXEC.get_ptr_mut(0)?;
    // SAFETY: this core's buffer, which only this program uses; no task is switched while it runs.
    let exec = unsafe { &mut *exec };
    exec.record.process = describe(Kind::EXEC, task, key);
    let signal: KernelPtr = field!(task, task_signal);
    exec.record.peak_pages = field!(signal, signal_maxrss);
    exec.record.unused = 0;

    let exe_len = read_program(exec, task);
    if exe_len == 0 || exe_len == EXE_MAX - 1 {
        log::limit(Limit::PROGRAM_PATH, key.pid.into());
    }
    let (args_len, args_total) = read_arguments(exec, exe_len, task);
    if args_len as u64 != args_total {
        log::limit(Limit::ARGUMENTS, args_total);
    }
    exec.record.exe_len = exe_len as u32;
    exec.record.args_len = args_len as u32;
    exec.record.args_total = args_total.min(u64::from(u32::MAX)) as u32;
    let length = size_of::<ExecRecord>() + exe_len + args_len;
    // SAFETY: no longer than the buffer.
    unsafe { record::send_bytes(core::ptr::from_ref(exec).cast(), length as u64, false) };
    Some(())
}

/// Reads the path of the file that runs into the buffer: the interpreter of a script, the file behind
/// `/proc/self/exe` or `/dev/fd/3`. Returns its length.
#[inline(always)]
fn read_program(exec: &mut Exec, task: KernelPtr) -> usize {
    let mm: KernelPtr = field!(task, task_mm);
    if mm.is_null() {
        return 0;
    }
    let file: KernelPtr = field!(mm, mm_exe_file);
    if file.is_null() {
        return 0;
    }
    let at = Location::of::<Untyped>(file);
    let length = file_path::with_path(&at, |path, length| {
        let kept = masked::<{ EXE_MAX as i32 - 1 }>(length.min(EXE_MAX as u64 - 1));
        // SAFETY: the helper handles faults, and the buffer is larger.
        let result = unsafe {
            generated::bpf_probe_read_kernel(
                exec.text.as_mut_ptr().cast::<c_void>(),
                kept as u32,
                path.wrapping_add((length - kept as u64) as usize).cast(),
            )
        };
        if result == 0 { kept } else { 0 }
    });
    length.unwrap_or(0)
}

/// Reads the arguments into the buffer, from `at` on. Returns the length that was read, and the length
/// of all arguments.
#[inline(always)]
fn read_arguments(exec: &mut Exec, at: usize, task: KernelPtr) -> (usize, u64) {
    let mm: KernelPtr = field!(task, task_mm);
    if mm.is_null() {
        return (0, 0);
    }
    let start: u64 = field!(mm, mm_arg_start);
    let end: u64 = field!(mm, mm_arg_end);
    let total = end.saturating_sub(start);
    let length = masked::<{ ARGS_MAX as i32 - 1 }>(total.min(ARGS_MAX as u64 - 1));
    // SAFETY: ARGS_MAX bytes follow the path. The kernel has just written the pages, so they are present.
    let result = unsafe {
        generated::bpf_probe_read_user(
            exec.text.as_mut_ptr().add(at).cast::<c_void>(),
            length as u32,
            start as *const c_void,
        )
    };
    (if result == 0 { length } else { 0 }, total)
}

// TP_PROTO(struct task_struct *p); since 6.16 (struct task_struct *p, bool group_dead)
#[btf_tracepoint(function = "sched_process_exit")]
fn process_exit(ctx: BtfTracePointContext) -> i32 {
    let task: KernelPtr = ctx.arg(0);
    network_peer::abandon(task);
    try_process_exit(task);
    0
}

#[inline(always)]
fn try_process_exit(task: KernelPtr) -> Option<()> {
    let signal: KernelPtr = field!(task, task_signal);
    // Two threads that exit at once may both see 0. The agent uses the first record.
    let live: i32 = field!(signal, signal_live);
    if live != 0 || task::is_kernel_thread(task) {
        return None;
    }
    let key = key_of(task);
    if is_ignored(key.cgroup) {
        return None;
    }
    file_aio::ended(&key);
    // The last thread need not be the first one, which has the process's numbers, user and name.
    let leader: KernelPtr = field!(task, task_group_leader);
    let cred: KernelPtr = field!(leader, task_cred);
    let flags: u32 = field!(signal, signal_flags);
    let status: u32 = if flags & GROUP_EXIT != 0 {
        field!(signal, signal_group_exit_code)
    } else {
        field!(leader, task_exit_code)
    };
    let mut vm_pages = 0;
    if setting!(exit_has_memory) != 0 {
        let mm: KernelPtr = field!(task, task_mm);
        if !mm.is_null() {
            vm_pages = field!(mm, mm_total_vm);
        }
    }
    let container_pid = container_pid(leader);
    let record = ExitRecord {
        header: record::header(Kind::EXIT, key),
        peak_pages: field!(signal, signal_maxrss),
        vm_pages,
        status,
        container_pid,
        uid: field!(cred, cred_euid),
        gid: field!(cred, cred_egid),
        comm: comm_of(leader),
    };
    if container_pid == 1 {
        // The container ends with it, and its cgroup will soon be gone.
        record::send_urgently(&record);
    } else {
        record::send(&record);
    }
    Some(())
}

// TP_PROTO(struct task_struct *task, const char *comm)
#[btf_tracepoint(function = "task_rename")]
fn process_rename(ctx: BtfTracePointContext) -> i32 {
    let task: KernelPtr = ctx.arg(0);
    let comm: *const u8 = ctx.arg(1);
    if is_leader(task) && !is_in_exec(task) {
        try_process_rename(task, comm);
    }
    0
}

/// Whether the task is in the middle of an exec, whose record follows. Its memory is already that of the
/// new program and has no arguments yet (fs/exec.c, begin_new_exec()).
#[inline(always)]
fn is_in_exec(task: KernelPtr) -> bool {
    let mm: KernelPtr = field!(task, task_mm);
    // Kernel threads have none.
    !mm.is_null() && {
        let start: u64 = field!(mm, mm_arg_start);
        start == 0
    }
}

#[inline(always)]
fn try_process_rename(task: KernelPtr, comm: *const u8) -> Option<()> {
    let key = key_of(task);
    if is_ignored(key.cgroup) {
        return None;
    }
    let mut record = describe(Kind::RENAME, task, key);
    // The tracepoint runs before the name changes.
    record.comm = [0; 16];
    // SAFETY: the helper handles faults.
    unsafe { bpf_probe_read_kernel_str_bytes(comm, &mut record.comm) }.ok()?;
    record::send(&record);
    Some(())
}

// TP_PROTO(struct cgroup *dst_cgrp, const char *path, struct task_struct *task, bool threadgroup)
#[btf_tracepoint(function = "cgroup_attach_task")]
fn process_attach(ctx: BtfTracePointContext) -> i32 {
    let cgroup: KernelPtr = ctx.arg(0);
    let task: KernelPtr = ctx.arg(2);
    let whole_process: i32 = ctx.arg(3);
    if hierarchy_of(cgroup) == setting!(hierarchy) {
        // Any thread of a process may move all of them; the tracepoint names the first.
        let current = task::current();
        if task::process_id(task) == task::process_id(current) {
            process_changed(current);
        }
        tell_cores(task, whole_process & 0xff != 0);
        if is_leader(task) {
            send(Kind::ATTACH, task);
        }
    }
    0
}

/// Sends a record of every process that runs: `struct bpf_iter__task { meta, task }`.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn process_alive(ctx: *const KernelPtr) -> i32 {
    // SAFETY: the context of this type of program.
    let task = unsafe { core::ptr::read_volatile(ctx.add(1)) };
    if !task.is_null() && is_leader(task) && !task::is_kernel_thread(task) && has_threads(task) {
        send(Kind::ALIVE, task);
    }
    0
}

/// Whether a thread of the process still runs. A process whose parent has not waited has none.
#[inline(always)]
fn has_threads(task: KernelPtr) -> bool {
    let signal: KernelPtr = field!(task, task_signal);
    let live: i32 = field!(signal, signal_live);
    live != 0
}

#[inline(always)]
fn send(kind: Kind, task: KernelPtr) {
    let key = key_of(task);
    if !is_ignored(key.cgroup) {
        record::send(&describe(kind, task, key));
    }
}

#[inline(always)]
fn describe(kind: Kind, task: KernelPtr, key: ProcessKey) -> ProcessRecord {
    let parent: KernelPtr = field!(task, task_real_parent);
    let cred: KernelPtr = field!(task, task_cred);
    ProcessRecord {
        header: record::header(kind, key),
        parent: key_of(parent),
        stack: stack_of(task),
        uid: field!(cred, cred_euid),
        gid: field!(cred, cred_egid),
        container_pid: container_pid(task),
        unused: 0,
        comm: comm_of(task),
    }
}

/// Address where the stack of the task's program began; 0 if the task has no memory any more.
#[inline(always)]
fn stack_of(task: KernelPtr) -> u64 {
    let mm: KernelPtr = field!(task, task_mm);
    if mm.is_null() {
        return 0;
    }
    field!(mm, mm_start_stack)
}

#[inline(always)]
fn comm_of(task: KernelPtr) -> Comm {
    let name: [u64; 2] = field!(task, task_comm);
    // SAFETY: of the same size, and any bytes are a name.
    unsafe { core::mem::transmute::<[u64; 2], Comm>(name) }
}

/// The process's id in its own (innermost) pid namespace.
#[inline(always)]
fn container_pid(task_: KernelPtr) -> u32 {
    let pid: KernelPtr = field!(task_, task_thread_pid);
    if pid.is_null() {
        return 0;
    }
    let level: u32 = field!(pid, pid_level);
    let numbers = offset!(TaskOffsets, pid_numbers).bytes() + offset!(TaskOffsets, upid_nr).bytes();
    // The index is known at run time only, which a typed pointer does not allow.
    // SAFETY: the helper handles faults.
    unsafe {
        bpf_probe_read_kernel(
            pid.add((numbers + level * UPID_SIZE) as usize)
                .cast::<u32>(),
        )
    }
    .unwrap_or(0)
}
