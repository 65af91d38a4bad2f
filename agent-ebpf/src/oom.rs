//! Out-of-memory kills: which process the kernel chose.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::record::Kind;

use crate::btf::KernelPtr;
use crate::record;
use crate::settings::setting;
use crate::task::key_of;

// TP_PROTO(struct task_struct *task, uid_t uid); before 6.8 TP_PROTO(int pid)
#[btf_tracepoint(function = "mark_victim")]
fn oom_kill(ctx: BtfTracePointContext) -> i32 {
    let key = if setting!(victim_is_task) != 0 {
        let task: KernelPtr = ctx.arg(0);
        key_of(task)
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
