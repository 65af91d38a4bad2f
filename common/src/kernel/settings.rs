//! What the agent decides before the programs are loaded. The verifier sees
//! constants, and drops the branches that a kernel could not run.

use super::plain;

/// Constants of the programs (global `SETTINGS`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Which cgroup tells containers apart: the index of a v1 controller in
    /// `css_set.subsys`, or [`Settings::UNIFIED`].
    pub controller: u32,
    /// Hierarchy that it belongs to, as `cgroup_root.hierarchy_id` has it (0: v2).
    pub hierarchy: u32,
    /// 1 where `mark_victim` gives the task, 0 where it gives a number.
    pub victim_is_task: u32,
    /// 1 where the memory is still there when a process's exit is traced.
    pub exit_has_memory: u32,
}

impl Settings {
    /// The cgroup of the v2 hierarchy.
    pub const UNIFIED: u32 = u32::MAX;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            controller: Self::UNIFIED,
            hierarchy: 0,
            victim_is_task: 0,
            exit_has_memory: 0,
        }
    }
}

plain! { Settings is 16 bytes; }
