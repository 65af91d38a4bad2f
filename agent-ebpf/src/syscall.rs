//! The end of a system call, for kernels that refuse to have their functions
//! hooked: one program for all calls, which first of all looks at the number.
//!
//! The arguments are still in the registers, so the beginning of the call need
//! not be hooked. A file is found from its descriptor; should another thread have
//! closed it by now, the bytes count, under no path. Where functions can be hooked, the
//! same code serves those calls whose files no function has both of
//! (`file_vfs`).

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use bubble_common::kernel::{
    file::FileOffsets,
    network::NetworkOffsets,
    syscall::{Action, CALLS, COMPAT, Calls, RegisterOffsets, X86},
};

use crate::{
    btf::{Kernel, address, can_cast, number_at, offset},
    file::{
        Access, IN, OUT, Typed, Untyped, is_socket, moved_by_any, moved_rarely, moved_unknown,
        opened_by_any, opened_unknown,
    },
    network_accept, network_peer, running,
};

/// What each system call does.
#[unsafe(no_mangle)]
static CALL_ACTIONS: Calls = X86;

/// `FMODE_WRITE` of `linux/fs.h`.
const MODE_WRITE: u32 = 2;

// TP_PROTO(struct pt_regs *regs, long ret): kernel/entry/common.c, syscall_exit_work()
#[btf_tracepoint(function = "sys_exit")]
fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    ended(ctx.arg(0), ctx.arg(1));
    0
}

/// What both kinds of programs do by this number: 0 for most.
#[inline(always)]
fn actions(registers_of: Kernel) -> i32 {
    let number: u64 = Typed::read(registers_of, offset!(RegisterOffsets, number));
    if number >= CALLS as u64 {
        return 0;
    }
    // SAFETY: below the length.
    unsafe {
        core::ptr::read_volatile((&raw const CALL_ACTIONS).cast::<i32>().add(number as usize))
    }
}

/// Whether a task is in a system call of a 32-bit program.
#[inline(always)]
fn is_narrow(task: Kernel) -> bool {
    let status: u32 = Typed::read(task, offset!(RegisterOffsets, task_status));
    status & COMPAT != 0
}

/// What the system call that `task` is in does.
#[inline(always)]
pub fn action(task: Kernel, registers_of: Kernel) -> u8 {
    let both = actions(registers_of);
    if both == 0 {
        0
    } else if is_narrow(task) {
        (both >> 8) as u8
    } else {
        both as u8
    }
}

/// Functions that read an argument of a system call of a 64-bit program.
macro_rules! arguments {
    ($($name:ident),+) => { $(
        /// The argument of that number, from 0 on.
        #[inline(always)]
        pub fn $name<A: Access>(registers_of: Kernel) -> u64 {
            A::read(registers_of, offset!(RegisterOffsets, $name))
        }
    )+ };
}
arguments!(argument_0, argument_1, argument_2, argument_3, argument_4);

/// Counts what a system call did.
#[inline(always)]
pub fn ended(registers_of: Kernel, result: i64) {
    let both = actions(registers_of);
    // Of most messages there is nothing to do any more: see `Calls`.
    if both <= 0 && (both == 0 || !network_peer::may_wait()) {
        return;
    }
    did(registers_of, both, result);
}

/// A function of its own: what only looks at the number has no registers to save then.
#[inline(never)]
fn did(registers_of: Kernel, both: i32, result: i64) -> u32 {
    try_did(registers_of, both, result);
    0
}

#[inline(always)]
fn try_did(registers_of: Kernel, both: i32, result: i64) -> Option<()> {
    let (core, task) = running::counted_task()?;
    let narrow = is_narrow(task);
    let action = if narrow { both >> 8 } else { both } as u8;
    if result < 0 {
        if action == Action::CONNECT {
            let file = file_of(task, descriptor(registers_of, narrow, 0))?;
            network_accept::network_connected(file as u64, result as i32);
        }
        return None;
    }
    let bytes = result as u64;
    // First of all what is done most.
    if matches!(action, Action::READ | Action::WRITE) {
        let direction = if action == Action::READ { IN } else { OUT };
        match file_of(task, descriptor(registers_of, narrow, 0)) {
            Some(file) => moved_by_any(core, file, direction, bytes),
            None => moved_unknown(direction, bytes),
        }
        return Some(());
    }
    match action {
        0 => {}
        Action::OPEN => match file_of(task, result as u32) {
            Some(file) => opened_by_any(core, file),
            None => opened_unknown(),
        },
        Action::SENDFILE => {
            syscall_moved(descriptor(registers_of, narrow, 1), IN, bytes);
            syscall_moved(descriptor(registers_of, narrow, 0), OUT, bytes);
        }
        Action::COPY => {
            match file_of(task, descriptor(registers_of, narrow, 0)) {
                Some(file) => spliced(file, bytes),
                None => moved_unknown(IN, bytes),
            }
            syscall_moved(descriptor(registers_of, narrow, 2), OUT, bytes);
        }
        Action::TEE => {
            syscall_moved(descriptor(registers_of, narrow, 1), OUT, bytes);
        }
        Action::VMSPLICE => {
            let number = descriptor(registers_of, narrow, 0);
            let mode: u32 = match file_of(task, number) {
                Some(file) => Untyped::read(file, offset!(FileOffsets, file_mode)),
                None => MODE_WRITE,
            };
            let direction = if mode & MODE_WRITE != 0 { OUT } else { IN };
            syscall_moved(number, direction, bytes);
        }
        Action::ACCEPT => {
            network_accept::network_accepted(file_of(task, result as u32)? as u64);
        }
        Action::CONNECT => {
            let file = file_of(task, descriptor(registers_of, narrow, 0))?;
            network_accept::network_connected(file as u64, 0);
        }
        action => {
            network_peer::network_settle(address(registers_of), action.into(), bytes);
        }
    }
    Some(())
}

/// A descriptor out of the arguments.
#[inline(always)]
fn descriptor(registers_of: Kernel, narrow: bool, n: u32) -> u32 {
    let argument: u64 = match (narrow, n) {
        (false, 0) => Typed::read(registers_of, offset!(RegisterOffsets, argument_0)),
        (false, 1) => Typed::read(registers_of, offset!(RegisterOffsets, argument_1)),
        (true, 0) => Typed::read(registers_of, offset!(RegisterOffsets, narrow_0)),
        (true, 1) => Typed::read(registers_of, offset!(RegisterOffsets, narrow_1)),
        // The same register for both.
        _ => Typed::read(registers_of, offset!(RegisterOffsets, argument_2)),
    };
    argument as u32
}

/// Counts bytes that went through one descriptor, unless it is a socket's.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn syscall_moved(number: u32, direction: u32, bytes: u64) -> u32 {
    match file_of(running::current(), number) {
        Some(file) => moved_rarely(file, direction, bytes),
        None => moved_unknown(direction, bytes),
    }
    0
}

/// Counts bytes that were spliced out of a file. A stream socket gives its pages to the pipe and
/// not to a message, so the hooks of sockets do not see it.
#[inline(always)]
pub fn spliced(file: Kernel, bytes: u64) {
    if is_socket(file) {
        network_accept::network_spliced(file as u64, bytes);
    } else {
        moved_rarely(file, IN, bytes);
    }
}

/// The file behind a descriptor.
#[inline(always)]
pub fn file_of(task: Kernel, number: u32) -> Option<Kernel> {
    let files: Kernel = Typed::read(task, offset!(FileOffsets, task_files));
    let table: Kernel = Typed::read(files, offset!(FileOffsets, files_fdt));
    let size: u32 = Typed::read(table, offset!(FileOffsets, fdtable_max_fds));
    if number >= size {
        return None;
    }
    let first: Kernel = Typed::read(table, offset!(FileOffsets, fdtable_fd));
    let slot = first.wrapping_add(number as usize * 8);
    let file = if can_cast() {
        number_at(slot) as Kernel
    } else {
        Untyped::at(slot)
    };
    (!file.is_null()).then_some(file)
}

/// The socket behind a file; nothing when it is none.
#[inline(always)]
pub fn socket_of(file: Kernel) -> Option<Kernel> {
    if !is_socket(file) {
        return None;
    }
    let socket: Kernel = Untyped::read(file, offset!(FileOffsets, file_private));
    let sock: Kernel = Untyped::read(socket, offset!(NetworkOffsets, socket_sock));
    (!sock.is_null()).then_some(sock)
}
