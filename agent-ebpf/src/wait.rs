//! Time that threads do not run, by process and by what they wait for.
//!
//! | moment | what happens |
//! |---|---|
//! | a thread leaves its core | its entry in [`THREADS`] notes when, and what it waits for |
//! | it comes back | this core notes when (`Running::arrived`) |
//! | it leaves again, or each second while it runs | the time in between is charged: [`charge_wait`] |
//! | each second while it does not run | the time so far is charged: [`wait_flush`] |
//!
//! If it waits for a disk or a socket, the file or connection is noted too (`wait_file`, `wait_peer`). The time
//! for this *subject* is added up beside the thread. It goes to the maps when the thread waits for another one, and
//! each second.
//!
//! The kernel's own count (`sched_info.run_delay`) says how much of that time it waited for a core. It
//! grows only when the thread comes to a core, so the time is charged when the thread has run. The rest
//! is the sleep.
//!
//! The agent runs [`wait_flush`] first and `cpu_flush` afterwards, so each thread is charged up to
//! about the same moment, whatever it does then.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xchg};

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use bubble_common::kernel::cpu_state::CpuState;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;
use bubble_common::kernel::wait::{State, WaitOffsets};

use crate::access::{Access as _, Typed};
use crate::bound::masked;
use crate::btf::{KernelPtr, address, offset};
use crate::cpu::last;
use crate::cpu_state::{cpu_state, is_ignored};
use crate::file_sum::file_add_wait;
use crate::generation;
use crate::log::{self, Limit};
use crate::loss::lost;
use crate::settings::setting;
use crate::sum::atomic_add;
use crate::task::{self, key_of};
use crate::wait_file::wait_file;
use crate::wait_peer::{wait_add_peer, wait_note_peer, wait_socket};
use crate::wait_state::wait_state;
use crate::wait_sum::wait_add;

/// `TASK_DEAD` of `linux/sched.h`.
const DEAD: u32 = 0x80;
/// `-EEXIST`.
const EXISTS: i64 = -17;
/// `TASK_WAKING` and `TASK_NEW`: it is about to be queued.
const WAKING: u32 = 0x200 | 0x800;

/// A thread that does not run, or did not before it came to its core.
#[repr(C)]
struct Thread {
    /// Its time is charged up to then, ns (`CLOCK_MONOTONIC`).
    since: u64,
    /// Its `run_delay` that is charged, ns.
    delay: u64,
    /// When it was created, as the kernel has it: addresses of tasks are used again.
    start: u64,
    /// What it waits for.
    state: u32,
    /// What it waited for in its last system call.
    called: u32,
    /// The file or connection that it waited for last: the number of the file, or of the socket's inode.
    /// 0 if there is none.
    subject: u64,
    /// What it waited for then: [`State::DISK`] or [`State::NETWORK`].
    kind: u32,
    /// Not 0 if it waits for the subject now.
    for_subject: u32,
    /// Time that it waited for the subject and that is in no map yet, ns.
    pending: u64,
    /// Generation in which the connection was described.
    described: u64,
}

/// The threads that were switched out, by address of the task.
#[map]
static THREADS: HashMap<u64, Thread> = HashMap::with_max_entries(32_768, 0);

/// A field of a task that waits need.
macro_rules! wait_field {
    ($task:expr, $field:ident) => {
        Typed::read($task, offset!(WaitOffsets, $field))
    };
}

/// The time now, ns (`CLOCK_MONOTONIC`); 0 if waits are not counted.
#[inline(always)]
pub fn now() -> u64 {
    if setting!(waits) == 0 {
        return 0;
    }
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// The entry of this very task.
#[inline(always)]
fn thread_of(task: KernelPtr, start: u64) -> Option<*mut Thread> {
    let thread = THREADS.get_ptr_mut(&(task as u64))?;
    // SAFETY: a pointer to the map's value.
    (unsafe { (*thread).start } == start).then_some(thread)
}

/// Charges the time before `task` came to this core. `until`: it leaves the core now; 0: it goes on.
///
/// # Safety
/// `state` is this core's, and nothing else changes it meanwhile. The task's CPU time was charged just
/// now.
#[inline(always)]
pub unsafe fn charge_wait(state: *mut CpuState, task: KernelPtr, until: u64) {
    // SAFETY: the caller's promise.
    let running = unsafe { &mut (*state).running };
    let arrived = running.arrived;
    running.arrived = 0;
    if setting!(waits) == 0 || running.counted == 0 || (arrived == 0 && until == 0) {
        return;
    }
    let start: u64 = wait_field!(task, task_start_time);
    let delay: u64 = wait_field!(task, task_run_delay);
    let runs: u64 = wait_field!(task, task_runs);
    // It runs for the first time, or the entry says more.
    let (mut since, mut charged, mut waited_for) = (start, 0, u32::from(State::CORE));
    let thread = thread_of(task, start);
    let mut for_subject = 0;
    if let Some(thread) = thread {
        // SAFETY: a pointer to the map's value. `wait_flush` may change it at the same time, but takes
        // the time only if it is still the one that it read.
        unsafe {
            let until = if until == 0 { arrived } else { until };
            since =
                atomic_xchg::<u64, { AtomicOrdering::Relaxed }>(&raw mut (*thread).since, until);
            charged = (*thread).delay;
            waited_for = (*thread).state;
            for_subject = (*thread).for_subject;
            (*thread).delay = delay;
        }
    } else if runs > 1 {
        return;
    }
    if arrived == 0 {
        return;
    }
    let arrival: u64 = wait_field!(task, task_last_arrival);
    running.offset = arrived.wrapping_sub(arrival);
    let off = arrived.saturating_sub(since);
    let waits = split(off, delay.saturating_sub(charged), waited_for);
    // SAFETY: the caller's promise. Entries of files follow those of CPU time, so the verifier accepts
    // the mask, and there is no such state.
    unsafe {
        let last = last(state);
        let ns = (&raw mut last.waits.ns).cast::<u64>();
        *ns.add(State::CORE as usize) += waits.0;
        *ns.add(masked::<15>(waited_for.into())) += waits.1;
        if let Some(thread) = thread {
            if for_subject != 0 {
                atomic_add(&raw mut (*thread).pending, waits.1);
            }
            if until == 0 {
                settle(thread, &raw const last.process, task, last.generation, 0);
            }
        }
    }
}

/// Moves to the maps what a thread of `process` has waited for its subject, and `more` ns.
///
/// # Safety
/// `thread` is the value of this task, and `process` a reference.
#[inline(always)]
unsafe fn settle(
    thread: *mut Thread,
    process: *const ProcessKey,
    task: KernelPtr,
    generation: u64,
    more: u64,
) {
    // SAFETY: the caller's promise. Of two cores that settle, one has the time.
    unsafe {
        let (subject, kind) = ((*thread).subject, (*thread).kind);
        let pending =
            atomic_xchg::<u64, { AtomicOrdering::Relaxed }>(&raw mut (*thread).pending, 0);
        let ns = pending + more;
        if ns == 0 {
            return;
        }
        if kind == u32::from(State::DISK) {
            file_add_wait(process, subject, generation, ns);
        } else {
            wait_add_peer(process, address(task), (*thread).start, generation, ns);
        }
    }
}

/// Divides the time in which a thread did not run into waiting for a core and what it slept.
#[inline(always)]
fn split(off: u64, delay: u64, waited_for: u32) -> (u64, u64) {
    if waited_for == u32::from(State::CORE) {
        return (off, 0);
    }
    let core = delay.min(off);
    (core, off - core)
}

/// Notes that `task` leaves this core `now`, and why. [`charge_wait`] comes before.
///
/// # Safety
/// `state` is this core's, and nothing else changes it meanwhile.
#[inline(always)]
pub unsafe fn depart(state: *mut CpuState, task: KernelPtr, preempted: bool, why: u32, now: u64) {
    if setting!(waits) == 0 {
        return;
    }
    // SAFETY: the caller's promise.
    if unsafe { (*state).running.counted } == 0 {
        if why & DEAD != 0 {
            forget(task);
        }
        return;
    }
    let start: u64 = wait_field!(task, task_start_time);
    let thread = thread_of(task, start);
    let generation = generation::current();
    // SAFETY: the caller's promise.
    let process = unsafe { &raw const (*state).running.key };
    if why & DEAD != 0 {
        if let Some(thread) = thread {
            // SAFETY: the value of this task.
            unsafe { settle(thread, process, task, generation, 0) };
        }
        forget(task);
        return;
    }
    let called = match thread {
        // SAFETY: a pointer to the map's value.
        Some(thread) => unsafe { (*thread).called },
        None => State::OTHER.into(),
    };
    let waits_for = if preempted || why == 0 {
        State::CORE.into()
    } else {
        wait_state(task, why, called)
    };
    let (found, kind) = match waits_for as u8 {
        State::DISK => (wait_file(), State::DISK),
        State::NETWORK => (wait_socket(), State::NETWORK),
        _ => (0, 0),
    };
    let Some(thread) = thread else {
        let is_noted = kind != State::NETWORK || found == 0 || wait_note_peer(start) != 0;
        let subject = if is_noted { found } else { 0 };
        insert(task, now, 0, start, waits_for, subject, BPF_ANY);
        return;
    };
    // SAFETY: the value of this task.
    unsafe {
        let mut subject = found;
        let is_known = (*thread).subject == subject
            && (*thread).kind == kind.into()
            && (kind == State::DISK || (*thread).described == generation);
        if subject != 0 && !is_known {
            settle(thread, process, task, generation, 0);
            if kind == State::NETWORK && wait_note_peer(start) == 0 {
                subject = 0;
            }
            (*thread).subject = subject;
            (*thread).kind = kind.into();
            (*thread).described = generation;
        }
        (*thread).for_subject = (subject != 0).into();
        note(thread, waits_for);
    }
}

/// Notes what a thread waits for.
///
/// # Safety
/// `thread` is a value of the map.
#[inline(always)]
unsafe fn note(thread: *mut Thread, waits_for: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        (*thread).state = waits_for;
        if waits_for != u32::from(State::CORE) && waits_for != u32::from(State::STOPPED) {
            (*thread).called = waits_for;
        }
    }
}

#[inline(always)]
fn insert(
    task: KernelPtr,
    since: u64,
    queued: u64,
    start: u64,
    state: u32,
    subject: u64,
    flags: u32,
) -> bool {
    let delay: u64 = wait_field!(task, task_run_delay);
    let thread = Thread {
        since,
        delay: delay + queued,
        start,
        state,
        called: if state == u32::from(State::CORE) {
            State::OTHER.into()
        } else {
            state
        },
        subject,
        kind: state,
        for_subject: (subject != 0).into(),
        pending: 0,
        described: generation::current(),
    };
    match THREADS.insert(&(task as u64), &thread, flags.into()) {
        Ok(()) => true,
        Err(error) => {
            if i64::from(error) != EXISTS {
                lost(Cause::WAIT, 0);
                log::limit(Limit::THREAD_MAP, since);
            }
            false
        }
    }
}

/// Charges every thread that does not run, up to now. The agent runs it each second: `struct
/// bpf_iter__task { meta, task }`.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn wait_flush(ctx: *const KernelPtr) -> i32 {
    // SAFETY: the context of this type of program.
    let task = unsafe { core::ptr::read_volatile(ctx.add(1)) };
    if !task.is_null() && setting!(waits) != 0 && !task::is_kernel_thread(task) {
        flush_one(task);
    }
    0
}

#[inline(always)]
fn flush_one(task: KernelPtr) {
    let key = key_of(task);
    if is_ignored(key.cgroup) {
        forget(task);
        return;
    }
    // Before the question whether it runs: it does not before this moment.
    let now = now();
    let on_cpu: i32 = wait_field!(task, task_on_cpu);
    let exited: i32 = wait_field!(task, task_exit_state);
    if on_cpu != 0 || exited != 0 {
        return;
    }
    let state: u32 = wait_field!(task, task_state);
    let start: u64 = wait_field!(task, task_start_time);
    let delay: u64 = wait_field!(task, task_run_delay);
    let Some(thread) = thread_of(task, start) else {
        first_flush(task, &key, now, start, state);
        return;
    };
    // SAFETY: a pointer to the map's value. If the thread came to a core meanwhile, its time belongs to
    // whoever changes `since` first.
    unsafe {
        let since = core::ptr::read_volatile(&raw const (*thread).since);
        let charged = core::ptr::read_volatile(&raw const (*thread).delay);
        let waited_for = core::ptr::read_volatile(&raw const (*thread).state);
        let for_subject = core::ptr::read_volatile(&raw const (*thread).for_subject);
        if now <= since
            || !atomic_cxchg::<u64, { AtomicOrdering::Relaxed }, { AtomicOrdering::Relaxed }>(
                &raw mut (*thread).since,
                since,
                now,
            )
            .1
        {
            return;
        }
        let queued = if state == 0 { queued(task, now) } else { 0 };
        let (core, slept) = split(
            now - since,
            delay.saturating_sub(charged).saturating_add(queued),
            waited_for,
        );
        core::ptr::write_volatile(&raw mut (*thread).delay, charged + core);
        let generation = generation::current();
        wait_add(&key, generation, core, waited_for, slept);
        let more = if for_subject != 0 { slept } else { 0 };
        settle(thread, &key, task, generation, more);
    }
}

/// Removes the entry of a thread that has ended, or has left the counted cgroups. If it came back, the time
/// in between would be charged.
#[inline(always)]
fn forget(task: KernelPtr) {
    let key = task as u64;
    // Most have none, and a look-up takes no lock.
    if THREADS.get_ptr(&key).is_some() {
        let _ = THREADS.remove(&key);
    }
}

/// Notes a thread that was never switched out since the agent began. It has waited for its first core, or
/// it is not known since when it sleeps.
#[inline(always)]
fn first_flush(task: KernelPtr, key: &ProcessKey, now: u64, start: u64, state: u32) {
    let runs: u64 = wait_field!(task, task_runs);
    let waited = if runs == 0 {
        now.saturating_sub(start)
    } else {
        0
    };
    let waits_for = if state == 0 || state & WAKING != 0 {
        State::CORE.into()
    } else {
        wait_state(task, state, State::OTHER.into())
    };
    // If there is none, and it is switched out meanwhile, its core notes it. One of another thread, whose
    // task had this address, is replaced.
    let flags = match THREADS.get_ptr(&(task as u64)) {
        Some(_) => BPF_ANY,
        None => BPF_NOEXIST,
    };
    // Its file or connection cannot be found from here: paths are those of the task that runs on this core.
    if insert(task, now, waited, start, waits_for, 0, flags) {
        let generation = generation::current();
        wait_add(key, generation, waited, State::CORE.into(), 0);
    }
}

/// For how long the task has been waiting in a queue of a core, ns; 0 if it is in none.
#[inline(always)]
fn queued(task: KernelPtr, now: u64) -> u64 {
    let queued: u64 = wait_field!(task, task_last_queued);
    // SAFETY: this core's state.
    let offset = cpu_state().map_or(0, |state| unsafe { (*state).running.offset });
    if queued == 0 || offset == 0 {
        return 0;
    }
    now.saturating_sub(queued.wrapping_add(offset))
}
