//! Completions of io_uring that find their ring full. Newer kernels report them without the request, which
//! is then still in the list of those that complete together.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::bpf_loop;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::file::UringOffsets;
use bubble_common::kernel::unseen::Kind;

use crate::access::{Access, Untyped};
use crate::bound::hidden;
use crate::btf::{KernelPtr, Offset as _, offset};
use crate::cpu_state::counted_process;
use crate::file_uring::{uring_completed, was_completed};
use crate::file_uring_submit::uring_completed_again;
use crate::unseen::unseen;

// TP_PROTO(void *ctx, unsigned long long user_data, s32 res, u32 cflags, void *ocqe): io_uring/io_uring.c
#[btf_tracepoint(function = "io_uring_cqe_overflow")]
fn uring_overflowed(ctx: BtfTracePointContext) -> i32 {
    let ring: u64 = ctx.arg(0);
    let user_data: u64 = ctx.arg(1);
    let result: i32 = ctx.arg(2);
    // An older kernel has just reported the completion as well.
    if !was_completed(ring, user_data) && uring_completed_again(ring, user_data, result) == 0 {
        let request = uring_find(ring, user_data, result);
        if request != 0 {
            uring_completed(request);
        }
    }
    0
}

/// Maximum number of requests that complete together.
const MAX_COMPLETED: u32 = 32_768;

/// A search among the requests of a ring that complete together.
#[repr(C)]
struct Search {
    /// Address of the next request's node in the list.
    node: u64,
    user_data: u64,
    result: i64,
    /// The request; 0 if none was found yet.
    found: u64,
    /// Not 0 if others with the same numbers do something else.
    is_ambiguous: u64,
}

/// Finds the request of a completion that found its ring full. Notes it as uncounted and returns 0 if it
/// is not found.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn uring_find(ring: u64, user_data: u64, result: i32) -> u64 {
    let mut search = Search {
        node: Untyped::read(ring as KernelPtr, offset!(UringOffsets, ring_completed)),
        user_data,
        result: result.into(),
        found: hidden(0),
        is_ambiguous: hidden(0),
    };
    // SAFETY: the callback's second argument is the one passed here.
    unsafe {
        let callback: extern "C" fn(u32, *mut Search) -> i64 = compare;
        bpf_loop(
            MAX_COMPLETED,
            callback as *mut c_void,
            (&raw mut search).cast(),
            0,
        );
    }
    if search.found != 0 && search.is_ambiguous == 0 {
        return search.found;
    }
    if let Some(process) = counted_process() {
        unseen(process.cgroup, Kind::URING, 1, 0);
    }
    0
}

extern "C" fn compare(_: u32, search: *mut Search) -> i64 {
    // SAFETY: `bpf_loop` passes what `uring_find` gave it.
    let search = unsafe { &mut *search };
    if search.node == 0 {
        return 1;
    }
    let request = search
        .node
        .wrapping_sub(u64::from(offset!(UringOffsets, request_node).bytes()));
    search.node = Untyped::at(search.node as KernelPtr);
    let pointer = request as KernelPtr;
    let user_data: u64 = Untyped::read(pointer, offset!(UringOffsets, request_user_data));
    let result: i32 = Untyped::read(pointer, offset!(UringOffsets, request_result));
    if user_data != search.user_data || i64::from(result) != search.result {
        return 0;
    }
    if search.found == 0 {
        search.found = request;
        return 0;
    }
    let found = search.found as KernelPtr;
    let file: u64 = Untyped::read(found, offset!(UringOffsets, request_file));
    let opcode: u8 = Untyped::read(found, offset!(UringOffsets, request_opcode));
    if file != Untyped::read::<u64>(pointer, offset!(UringOffsets, request_file))
        || opcode != Untyped::read::<u8>(pointer, offset!(UringOffsets, request_opcode))
    {
        search.is_ambiguous = 1;
        return 1;
    }
    0
}
