//! Offsets of the fields of tasks, and of the structs that tasks point to.

crate::offsets! {
    /// Tasks, and the structs that they point to.
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
        task_minor_faults = required "task_struct"."min_flt",
        task_major_faults = required "task_struct"."maj_flt",
        css_set_dfl_cgrp = required "css_set"."dfl_cgrp",
        css_set_subsys = required "css_set"."subsys",
        css_cgroup = required "cgroup_subsys_state"."cgroup",
        cgroup_kn = required "cgroup"."kn",
        cgroup_root = required "cgroup"."root",
        cgroup_root_hierarchy_id = required "cgroup_root"."hierarchy_id",
        kernfs_node_id = required "kernfs_node"."id",
        cred_euid = required "cred"."euid",
        cred_egid = required "cred"."egid",
        pid_level = required "pid"."level",
        pid_numbers = required "pid"."numbers",
        upid_nr = required "upid"."nr",
        signal_live = required "signal_struct"."live",
        signal_flags = required "signal_struct"."flags",
        signal_group_exit_code = required "signal_struct"."group_exit_code",
        signal_maxrss = required "signal_struct"."maxrss",
        mm_arg_start = required "mm_struct"."arg_start",
        mm_arg_end = required "mm_struct"."arg_end",
        mm_start_stack = required "mm_struct"."start_stack",
        mm_exe_file = required "mm_struct"."exe_file",
        mm_total_vm = required "mm_struct"."total_vm",
        mm_hiwater_rss = required "mm_struct"."hiwater_rss",
    }
}

/// Bytes of an element of `pid.numbers`: `struct upid` is a number and a pointer.
pub const UPID_SIZE: u32 = 16;
