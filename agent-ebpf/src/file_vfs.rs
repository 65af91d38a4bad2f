//! Files by the kernel's own functions, where it lets them be hooked: then only
//! calls that move bytes cost anything.
//!
//! `vfs_read` and its like are given the file. For calls whose files no one
//! function has both of, the function of the system call itself is hooked, and
//! what it did is counted as `syscall` counts it.

use aya_ebpf::{EbpfContext as _, macros::fexit, programs::FExitContext};
use bubble_common::kernel::file::FileOffsets;

use crate::{
    btf::{Kernel, address, offset},
    file::{Access as _, IN, OUT, Typed, moved, opened},
    file_line, network_accept, running, syscall,
};

#[inline(always)]
fn transferred(file: Kernel, result: i64, direction: u32) -> i32 {
    if result >= 0
        && let Some(core) = running::counted_core()
    {
        moved::<Typed>(core, file, direction, result as u64);
    }
    0
}

/// What is not in the line of `file_line`: in a function of its own, so that what is has no registers to save.
#[inline(never)]
fn read(file: Kernel, result: i64) -> i32 {
    transferred(file, result, IN)
}

/// The same of what is written.
#[inline(never)]
fn written(file: Kernel, result: i64) -> i32 {
    transferred(file, result, OUT)
}

// ssize_t vfs_read(struct file *file, char __user *buf, size_t count, loff_t *pos): fs/read_write.c
#[fexit(function = "vfs_read")]
fn vfs_read(ctx: FExitContext) -> i32 {
    if let Some((file, result)) = file_line::add::<4>(ctx.as_ptr().cast(), IN) {
        read(file, result);
    }
    0
}

// ssize_t vfs_write(struct file *file, const char __user *buf, size_t count, loff_t *pos): fs/read_write.c
#[fexit(function = "vfs_write")]
fn vfs_write(ctx: FExitContext) -> i32 {
    if let Some((file, result)) = file_line::add::<4>(ctx.as_ptr().cast(), OUT) {
        written(file, result);
    }
    0
}

// static ssize_t vfs_readv(struct file *file, const struct iovec __user *vec, unsigned long vlen, loff_t *pos, rwf_t flags): fs/read_write.c
#[fexit(function = "vfs_readv")]
fn vfs_readv(ctx: FExitContext) -> i32 {
    transferred(ctx.arg(0), ctx.arg(5), IN)
}

// static ssize_t vfs_writev(struct file *file, const struct iovec __user *vec, unsigned long vlen, loff_t *pos, rwf_t flags): fs/read_write.c
#[fexit(function = "vfs_writev")]
fn vfs_writev(ctx: FExitContext) -> i32 {
    transferred(ctx.arg(0), ctx.arg(5), OUT)
}

/// `__FMODE_EXEC` of `linux/fs.h`: it is a program that is opened, by `exec`.
const EXEC: u32 = 0x20;

// What the kernel opens for a process (a core dump) is one of its opens, too.
// struct file *do_filp_open(int dfd, struct filename *pathname, const struct open_flags *op): fs/namei.c
#[fexit(function = "do_filp_open")]
fn do_filp_open(ctx: FExitContext) -> i32 {
    let file: Kernel = ctx.arg(3);
    // An error is a pointer within the last page.
    if (file as u64) < u64::MAX - 4095
        && let Some(core) = running::counted_core()
        && Typed::read::<u32>(ctx.arg(2), offset!(FileOffsets, open_flag)) & EXEC == 0
    {
        opened::<Typed>(core, file);
    }
    0
}

/// The function of a system call, which has the registers for its only argument.
macro_rules! call {
    ($name:ident, $function:literal) => {
        #[fexit(function = $function)]
        fn $name(ctx: FExitContext) -> i32 {
            syscall::ended(ctx.arg(0), ctx.arg(1));
            0
        }
    };
}

// long __x64_sys_sendfile64(const struct pt_regs *regs): fs/read_write.c, SYSCALL_DEFINE4(sendfile64, …)
call!(call_sendfile, "__x64_sys_sendfile64");
// long __x64_sys_splice(const struct pt_regs *regs): fs/splice.c, SYSCALL_DEFINE6(splice, …)
call!(call_splice, "__x64_sys_splice");
// long __x64_sys_tee(const struct pt_regs *regs): fs/splice.c, SYSCALL_DEFINE4(tee, …)
call!(call_tee, "__x64_sys_tee");
// long __x64_sys_vmsplice(const struct pt_regs *regs): fs/splice.c, SYSCALL_DEFINE4(vmsplice, …)
call!(call_vmsplice, "__x64_sys_vmsplice");
// long __x64_sys_copy_file_range(const struct pt_regs *regs): fs/read_write.c, SYSCALL_DEFINE6(copy_file_range, …)
call!(call_copy_file_range, "__x64_sys_copy_file_range");
// long __x64_sys_open_by_handle_at(const struct pt_regs *regs): fs/fhandle.c, SYSCALL_DEFINE3(open_by_handle_at, …)
call!(call_open_by_handle_at, "__x64_sys_open_by_handle_at");

// struct file *do_accept(struct file *file, …, int flags), with five arguments: net/socket.c
#[fexit(function = "do_accept")]
fn do_accept(ctx: FExitContext) -> i32 {
    let file = address(ctx.arg(5));
    // An error is a pointer within the last page.
    if file != 0 && file < u64::MAX - 4095 {
        network_accept::network_accepted(file);
    }
    0
}

// int __sys_connect_file(struct file *file, struct sockaddr_storage *address, int addrlen, int file_flags): net/socket.c
#[fexit(function = "__sys_connect_file")]
fn connect_file(ctx: FExitContext) -> i32 {
    network_accept::network_connected(address(ctx.arg(0)), ctx.arg(4));
    0
}
