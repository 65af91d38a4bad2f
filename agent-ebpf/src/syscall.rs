//! Syscall exit, for kernels that do not let their functions be hooked: one program for all calls, which
//! looks at the number first.
//!
//! The arguments are still in the registers, so the beginning of the call needs no hook. A file is found
//! from its descriptor; if its thread left the core during the call, as it was then (`suspended`). If
//! another thread has closed it meanwhile, the bytes count without a path. Where functions can be
//! hooked, the same code serves the calls whose two files no single function has (`file_vfs`).

use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::cpu_state::CpuState;
use bubble_common::kernel::file::FileOffsets;
use bubble_common::kernel::syscall::Action;
use bubble_common::kernel::unseen::Kind;

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, address, offset};
use crate::cpu_state::{counted_process, counted_task};
use crate::descriptor::file_of;
use crate::file::{moved_unknown, opened_by_any, opened_unknown};
use crate::file_aio::{aio_reaped, aio_submitted};
use crate::file_map::file_mapped;
use crate::network_accept::{
    network_accepted, network_connect_failed, network_connected, network_mapped,
};
use crate::network_peer::{any_deferred, network_complete};
use crate::registers::{actions, argument, call_number, descriptor, is_narrow};
use crate::sum::{IN, OUT};
use crate::suspended::{self, file_held};
use crate::transfer::{moved_by_any, moved_rarely, spliced};
use crate::unseen::unseen;
use crate::{network_exit, task};

/// `FMODE_WRITE` of `linux/fs.h`.
const MODE_WRITE: u32 = 2;

// TP_PROTO(struct pt_regs *regs, long ret): kernel/entry/common.c, syscall_exit_work()
#[btf_tracepoint(function = "sys_exit")]
fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    ended(ctx.arg(0), ctx.arg(1));
    0
}

/// Counts what a system call did.
#[inline(always)]
pub fn ended(registers: KernelPtr, result: i64) {
    let both = actions(registers);
    // Most calls with messages are counted already: see `Calls`.
    if both <= 0 {
        if both != 0 && any_deferred() {
            message_ended(registers, both, result);
        }
        return;
    }
    count(registers, both, result);
}

/// Counts the messages of a call, even if it failed, or if the process is no longer counted: what was
/// deferred must not stay. Not within `count`, whose stack older kernels have no room for.
#[inline(always)]
fn message_ended(registers: KernelPtr, both: i32, result: i64) {
    let narrow = is_narrow(task::current());
    let action = if narrow { both >> 8 } else { both } as u8;
    if Action::is_message(action) {
        network_complete(address(registers), action.into(), narrow.into(), result);
    }
}

/// A separate function, so that the caller, which mostly looks at the number only, saves no registers.
#[inline(never)]
fn count(registers: KernelPtr, both: i32, result: i64) -> u32 {
    if let Some((state, task)) = counted_task() {
        // SAFETY: this core's state.
        unsafe {
            let running = &raw mut (*state).running;
            suspended::check(running, registers);
            try_count(state, task, registers, both, result);
            suspended::end(running);
        }
    }
    0
}

/// # Safety
/// `state` is this core's, and `task` runs here.
#[inline(always)]
unsafe fn try_count(
    state: *mut CpuState,
    task: KernelPtr,
    registers: KernelPtr,
    both: i32,
    result: i64,
) -> Option<()> {
    // SAFETY: the caller's promise.
    let used =
        |number: u32| unsafe { file_held(&raw const (*state).running.call.first, task, number) };
    let narrow = is_narrow(task);
    let action = if narrow { both >> 8 } else { both } as u8;
    if result < 0 {
        if action == Action::CONNECT {
            let file = file_of(task, descriptor::<0>(registers, narrow))?;
            network_connect_failed(
                file as u64,
                result as i32,
                address(registers),
                narrow.into(),
            );
        } else if action == Action::MAP && result < -MAX_ERRNO {
            // The upper half of a 32-bit program's memory.
            mapped(registers, narrow);
        }
        return None;
    }
    let bytes = result as u64;
    // The most frequent calls come first.
    if matches!(action, Action::READ | Action::WRITE) {
        let direction = if action == Action::READ { IN } else { OUT };
        match used(descriptor::<0>(registers, narrow)) {
            Some(file) => moved_by_any(state, file, direction, bytes),
            None => moved_unknown(direction, bytes),
        }
        return Some(());
    }
    match action {
        0 => {}
        Action::OPEN => match file_of(task, result as u32) {
            Some(file) => opened_by_any(state, file),
            None => opened_unknown(),
        },
        Action::SENDFILE => {
            syscall_transfer(FIRST, descriptor::<1>(registers, narrow), IN, bytes);
            syscall_transfer(SECOND, descriptor::<0>(registers, narrow), OUT, bytes);
        }
        Action::COPY => {
            match used(descriptor::<0>(registers, narrow)) {
                Some(file) => spliced(file, bytes),
                None => moved_unknown(IN, bytes),
            }
            syscall_transfer(SECOND, descriptor::<2>(registers, narrow), OUT, bytes);
        }
        Action::TEE => {
            syscall_transfer(FIRST, descriptor::<1>(registers, narrow), OUT, bytes);
        }
        Action::VMSPLICE => {
            let number = descriptor::<0>(registers, narrow);
            let mode: u32 = match used(number) {
                Some(file) => Untyped::read(file, offset!(FileOffsets, file_mode)),
                None => MODE_WRITE,
            };
            let direction = if mode & MODE_WRITE != 0 { OUT } else { IN };
            syscall_transfer(FIRST, number, direction, bytes);
        }
        Action::ACCEPT => {
            network_accepted(file_of(task, result as u32)? as u64);
        }
        Action::CONNECT => {
            let file = file_of(task, descriptor::<0>(registers, narrow))?;
            network_connected(file as u64, 0);
        }
        Action::MAP => mapped(registers, narrow),
        Action::SUBMIT => {
            let first = argument::<Typed, 2>(registers, narrow);
            aio_submitted(first, bytes, narrow.into());
        }
        Action::REAP => {
            aio_reaped(argument::<Typed, 3>(registers, narrow), bytes);
        }
        Action::SEND_LENGTH => {
            let bytes = argument::<Typed, 2>(registers, narrow);
            syscall_transfer(FIRST, descriptor::<0>(registers, narrow), OUT, bytes);
        }
        Action::OPTION => option_read(task, registers, narrow),
        Action::SOCKETCALL => socketcall(task, registers, result),
        _ => {}
    }
    Some(())
}

/// `MAX_ERRNO` of `linux/err.h`: results from there to -1 are errors.
const MAX_ERRNO: i64 = 4095;

/// `old_mmap` of 32-bit programs (`syscall_32.tbl`), whose arguments are in a struct.
const OLD_MMAP: u64 = 90;

#[inline(always)]
fn mapped(registers: KernelPtr, narrow: bool) {
    if narrow && call_number(registers) == OLD_MMAP + 1 {
        // `struct mmap_arg_struct32` of mm/util.c, without the offset.
        let arguments = argument::<Typed, 0>(registers, narrow) as *const [u32; 5];
        // SAFETY: the helper takes any address.
        if let Ok([_, length, protection, flags, number]) =
            unsafe { bpf_probe_read_user(arguments) }
        {
            file_mapped(length.into(), protection, flags, number);
        }
        return;
    }
    file_mapped(
        argument::<Typed, 1>(registers, narrow),
        argument::<Typed, 2>(registers, narrow) as u32,
        argument::<Typed, 3>(registers, narrow) as u32,
        descriptor::<4>(registers, narrow),
    );
}

/// `IPPROTO_TCP` and `TCP_ZEROCOPY_RECEIVE` of `linux/tcp.h`.
const TCP_ZEROCOPY_RECEIVE: [u64; 2] = [6, 35];

/// Counts what `getsockopt` received: pages that TCP maps into the process, and the rest that it copies.
#[inline(always)]
fn option_read(task: KernelPtr, registers: KernelPtr, narrow: bool) {
    let option = [
        argument::<Typed, 1>(registers, narrow),
        argument::<Typed, 2>(registers, narrow),
    ];
    if option == TCP_ZEROCOPY_RECEIVE
        && let Some(file) = file_of(task, descriptor::<0>(registers, narrow))
    {
        network_mapped(
            file as u64,
            argument::<Typed, 3>(registers, narrow),
            argument::<Typed, 4>(registers, narrow),
        );
    }
}

/// `SYS_CONNECT`, `SYS_ACCEPT` and `SYS_ACCEPT4` of `linux/net.h`.
const CONNECT: u64 = 3;
const ACCEPT: u64 = 5;
const ACCEPT4: u64 = 18;
/// Those that send or receive: `SYS_SEND` to `SYS_RECVFROM`, `SYS_SENDMSG` to `SYS_SENDMMSG` without
/// `SYS_ACCEPT4`.
const MESSAGES: u64 = 0b1011 << 16 | 0b1111 << 9;

/// Counts a socket call of a 32-bit program that uses the old common number.
#[inline(always)]
fn socketcall(task: KernelPtr, registers: KernelPtr, result: i64) {
    let call = argument::<Typed, 0>(registers, true);
    if matches!(call, ACCEPT | ACCEPT4) {
        if let Some(file) = file_of(task, result as u32) {
            network_accepted(file as u64);
        }
    } else if call == CONNECT {
        let first = argument::<Typed, 1>(registers, true) as *const u32;
        // SAFETY: the helper takes any address.
        if let Ok(number) = unsafe { bpf_probe_read_user(first) }
            && let Some(file) = file_of(task, number)
        {
            network_connected(file as u64, 0);
        }
    } else if network_exit::in_use()
        && call < 32
        && MESSAGES >> call & 1 != 0
        && let Some(process) = counted_process()
    {
        unseen(process.cgroup, Kind::CALL, 1, result as u64);
    }
}

/// Which of a call's files: see `Call`.
const FIRST: u32 = 0;
const SECOND: u32 = 1;

/// Counts bytes that went through a descriptor.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn syscall_transfer(which: u32, number: u32, direction: u32, bytes: u64) -> u32 {
    let Some((state, task)) = counted_task() else {
        return 0;
    };
    // SAFETY: this core's state.
    let file = unsafe {
        let call = &raw const (*state).running.call;
        if which == FIRST {
            file_held(&raw const (*call).first, task, number)
        } else {
            file_held(&raw const (*call).second, task, number)
        }
    };
    match file {
        Some(file) => moved_rarely(file, direction, bytes),
        None => moved_unknown(direction, bytes),
    }
    0
}
