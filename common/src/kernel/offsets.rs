//! Where the fields of the kernel's structs are. They differ from kernel to
//! kernel; the agent finds them in the running kernel's BTF and hands them over
//! as globals, which the verifier takes for constants.
//!
//! Each struct of offsets is declared once, here and beside the other concerns'
//! shared types, with the C names that the agent looks up.

/// A field of a struct of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name of the struct.
    pub of: &'static str,
    /// Members from there, joined by dots; those of anonymous members count as
    /// the struct's own, and an array stands for its first element.
    pub path: &'static str,
    /// Whether a kernel may be without it.
    pub optional: bool,
}

/// Offset of an optional field that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Declares a struct of offsets (`u32` each) and the table of what they are
/// offsets of, in the same order.
#[macro_export]
macro_rules! offsets {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$doc:meta])* $field:ident = $kind:ident $of:literal . $path:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* #[doc = concat!("Offset of `", $of, ".", $path, "`.")] pub $field: u32,)+
        }

        impl $name {
            /// What each offset is of, in the order of the fields.
            pub const FIELDS: &'static [$crate::kernel::offsets::Field] = &[
                $($crate::kernel::offsets::Field {
                    of: $of,
                    path: $path,
                    optional: $crate::offsets!(@optional $kind),
                },)+
            ];

            /// Before the agent has filled it in.
            pub const NONE: Self = Self {
                $($field: $crate::kernel::offsets::ABSENT,)+
            };
        }

        const _: () = assert!(size_of::<$name>() == 4 * $name::FIELDS.len());
        // SAFETY: `repr(C)`, and nothing but `u32`.
        unsafe impl $crate::kernel::Plain for $name {}
    };
    (@optional required) => { false };
    (@optional optional) => { true };
}

offsets! {
    /// Tasks and what hangs on them (global `TASK`).
    pub struct TaskOffsets {
        task_flags = required "task_struct"."flags",
        task_pid = required "task_struct"."pid",
        task_tgid = required "task_struct"."tgid",
        task_comm = required "task_struct"."comm",
        task_group_leader = required "task_struct"."group_leader",
        task_real_parent = required "task_struct"."real_parent",
        task_start_boottime = required "task_struct"."start_boottime",
        task_self_exec_id = required "task_struct"."self_exec_id",
        task_sum_exec_runtime = required "task_struct"."se.sum_exec_runtime",
        task_prev_sum_exec_runtime = required "task_struct"."se.prev_sum_exec_runtime",
        task_cgroups = required "task_struct"."cgroups",
        task_cred = required "task_struct"."cred",
        task_thread_pid = required "task_struct"."thread_pid",
        task_signal = required "task_struct"."signal",
        task_mm = required "task_struct"."mm",
        task_exit_code = required "task_struct"."exit_code",
        css_set_dfl_cgrp = required "css_set"."dfl_cgrp",
        css_set_subsys = required "css_set"."subsys",
        css_cgroup = required "cgroup_subsys_state"."cgroup",
        cgroup_kn = required "cgroup"."kn",
        cgroup_root = required "cgroup"."root",
        cgroup_root_hierarchy_id = required "cgroup_root"."hierarchy_id",
        kernfs_node_id = required "kernfs_node"."id",
        cred_euid = required "cred"."euid",
        pid_level = required "pid"."level",
        pid_numbers = required "pid"."numbers",
        upid_nr = required "upid"."nr",
        signal_live = required "signal_struct"."live",
        signal_flags = required "signal_struct"."flags",
        signal_group_exit_code = required "signal_struct"."group_exit_code",
        signal_maxrss = required "signal_struct"."maxrss",
        mm_arg_start = required "mm_struct"."arg_start",
        mm_arg_end = required "mm_struct"."arg_end",
        mm_exe_file = required "mm_struct"."exe_file",
        mm_total_vm = required "mm_struct"."total_vm",
        mm_hiwater_rss = required "mm_struct"."hiwater_rss",
        bprm_filename = required "linux_binprm"."filename",
    }
}
/// Bytes of an element of `pid.numbers`: `struct upid` is a number and a pointer.
pub const UPID_SIZE: u32 = 16;
