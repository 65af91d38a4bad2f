//! Out-of-memory kills: who was chosen.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use bubble_common::kernel::{process::ProcessKey, record::Kind};

use crate::{btf::Kernel, record, running, settings::setting};

// TP_PROTO(struct task_struct *task, uid_t uid); before 6.8 TP_PROTO(int pid)
#[btf_tracepoint(function = "mark_victim")]
fn oom_kill(ctx: BtfTracePointContext) -> i32 {
    let key = if setting!(victim_is_task) != 0 {
        let task: Kernel = ctx.arg(0);
        running::key_of(task)
    } else {
        let pid: u64 = ctx.arg(0);
        ProcessKey {
            cgroup: 0,
            start: 0,
            pid: pid as u32,
            exec: 0,
        }
    };
    record::send(&record::header(Kind::OOM, key));
    0
}
