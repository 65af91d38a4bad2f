//! Where the fields of the kernel's structs are. They differ from kernel to kernel, so the programs
//! are compiled with places for them: instructions that have the number of a field where its offset
//! belongs. The agent finds the offsets in the running kernel's BTF and puts them there before it loads
//! the programs (what `libbpf` does for C, as CO-RE relocations).
//!
//! The fields are declared here and beside the other concerns' shared types, with the C names that
//! the agent looks up.

use super::file::{FileOffsets, UringOffsets};
use super::network::NetworkOffsets;
use super::syscall::RegisterOffsets;

/// What an instruction that loads the field of number N has as its offset: this plus N. No struct of
/// ours is so large.
pub const LOAD_PLACE: i16 = 0x7000;
/// What an instruction that moves the offset of field N to a register has as its number: this plus N.
pub const VALUE_PLACE: i32 = 0x7bbb_0000;
/// Numbers of fields are below.
pub const MOST: u32 = 0x400;

/// Name of the kernel's function that gives a pointer a type (6.2 and later).
pub const CAST: &str = "bpf_rdonly_cast";
/// What the programs call for it, as if it were a helper of that number: the agent puts the
/// function's own number there.
pub const CAST_PLACE: i32 = 0x7bbb_1000;
/// Stands for the number of the kernel's type `struct file`, as those of fields for offsets; it
/// is 0 where a pointer cannot be given a type.
pub const TYPE_FILE: u32 = MOST;
/// Stands for the number of a type that begins with a number of 64 bits (`struct timespec64`).
pub const TYPE_NUMBER: u32 = MOST + 1;

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

/// Declares fields that belong together: a struct that only numbers them (from `from` on) and is
/// never made, and the table of what each is, in the same order.
#[macro_export]
macro_rules! offsets {
    (
        $(#[$meta:meta])*
        pub struct $name:ident from $first:literal {
            $($(#[$doc:meta])* $field:ident = $kind:ident $of:literal . $path:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
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

            /// The number of the first.
            pub const FIRST: u32 = $first;

            /// The number of a field, by where it is in this struct.
            pub const fn number(place: usize) -> u32 {
                Self::FIRST + (place / size_of::<u32>()) as u32
            }
        }

        const _: () = assert!(size_of::<$name>() == 4 * $name::FIELDS.len());
    };
    (@optional required) => { false };
    (@optional optional) => { true };
}

/// Every field: the number of a table's first, and the table.
pub const TABLES: [(u32, &[Field]); 5] = [
    (TaskOffsets::FIRST, TaskOffsets::FIELDS),
    (FileOffsets::FIRST, FileOffsets::FIELDS),
    (UringOffsets::FIRST, UringOffsets::FIELDS),
    (NetworkOffsets::FIRST, NetworkOffsets::FIELDS),
    (RegisterOffsets::FIRST, RegisterOffsets::FIELDS),
];

// No number stands for two fields.
const _: () = {
    let mut n = 1;
    while n < TABLES.len() {
        assert!(TABLES[n - 1].0 + TABLES[n - 1].1.len() as u32 <= TABLES[n].0);
        n += 1;
    }
    assert!(TABLES[n - 1].0 + TABLES[n - 1].1.len() as u32 <= MOST);
};

offsets! {
    /// Tasks and what hangs on them.
    pub struct TaskOffsets from 0 {
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
        task_stack = required "task_struct"."stack",
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
