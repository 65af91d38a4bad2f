//! The hook that charges threads that do not run, and what it needs of the kernel.

use bubble_common::kernel::wait::{State, WaitOffsets};
use bubble_common::segment::wait::KINDS;

use super::btf::{Btf, BtfError};
use super::hook::{Attach, Family, Hook};

/// The program that charges threads that do not run.
pub const FLUSH: &str = "wait_flush";

/// Programs of other hooks that charge waits.
pub const PROGRAMS: [&str; 3] = ["sched_switch", "cpu_flush", "process_exec"];

/// Hooks that count it, beside those of CPU time.
pub const HOOKS: &[Hook] = &[Hook {
    program: FLUSH,
    attach: Attach::Iterator("task"),
    family: Family::Both,
    gives: "the time that processes wait, by what they wait for",
    needs: "BPF iterators over tasks, CONFIG_SCHED_INFO, and the state of tasks in sched_switch (Linux 5.18)",
    fallback: "not counted",
    required: false,
    unless: None,
    instead: None,
}];

// The columns of a segment are the states of the kernel side.
const _: () = assert!(KINDS == State::COUNT);

/// What the kernel needs for waits; otherwise what it lacks.
///
/// # Errors
/// When a field or the argument of the tracepoint is missing.
pub fn requirements(btf: &Btf) -> Result<(), String> {
    for field in WaitOffsets::FIELDS {
        if let Err(error @ (BtfError::NoMember { .. } | BtfError::NoType(_))) =
            btf.offset(field.of, field.path)
        {
            return Err(error.to_string());
        }
    }
    if btf.tracepoint_argument("sched_switch", 3).is_none() {
        return Err("the tracepoint sched_switch does not pass the state of the task".into());
    }
    Ok(())
}
