//! Hooks of the kernel's own functions for files, where the kernel allows them. Only calls that move
//! bytes cost anything then.
//!
//! `vfs_read` and similar functions have the file as an argument. Some calls have two files, which no
//! single function has. For those the function of the system call itself is hooked, and counted as in
//! `syscall`.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;
use bubble_common::kernel::file::FileOffsets;

use crate::access::{Access as _, Typed};
use crate::btf::{KernelPtr, address, offset};
use crate::cpu_state::counted;
use crate::file::opened;
use crate::file_map::file_mapped;
use crate::network_accept::{network_accepted, network_connected, network_refused};
use crate::sum::{IN, OUT};
use crate::transfer::moved;
use crate::{file_line, syscall};

#[inline(always)]
fn transferred(file: KernelPtr, result: i64, direction: u32) -> i32 {
    if result >= 0
        && let Some(state) = counted()
    {
        moved::<Typed>(state, file, direction, result as u64);
    }
    0
}

/// Counts what is not in a line. A separate function, so that the caller saves no registers.
#[inline(never)]
fn read(file: KernelPtr, result: i64) -> i32 {
    transferred(file, result, IN)
}

/// Likewise for writes.
#[inline(never)]
fn written(file: KernelPtr, result: i64) -> i32 {
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

/// `__FMODE_EXEC` of `linux/fs.h`: `exec` opens a program.
const EXEC: u32 = 0x20;

// Files that the kernel opens for a process (a core dump) count as well.
// struct file *do_filp_open(int dfd, struct filename *pathname, const struct open_flags *op): fs/namei.c
#[fexit(function = "do_filp_open")]
fn do_filp_open(ctx: FExitContext) -> i32 {
    let file: KernelPtr = ctx.arg(3);
    // Error pointers lie within the last page.
    if (file as u64) < u64::MAX - 4095
        && let Some(state) = counted()
        && Typed::read::<u32>(ctx.arg(2), offset!(FileOffsets, open_flag)) & EXEC == 0
    {
        opened::<Typed>(state, file);
    }
    0
}

/// Hooks the function of a system call. Its only argument is the registers.
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

// long __x64_sys_mq_timedsend(const struct pt_regs *regs): ipc/mqueue.c, SYSCALL_DEFINE5(mq_timedsend, …)
call!(call_mq_timedsend, "__x64_sys_mq_timedsend");
// long __x64_sys_mq_timedreceive(const struct pt_regs *regs): ipc/mqueue.c, SYSCALL_DEFINE5(mq_timedreceive, …)
call!(call_mq_timedreceive, "__x64_sys_mq_timedreceive");
// long __x64_sys_io_submit(const struct pt_regs *regs): fs/aio.c, SYSCALL_DEFINE3(io_submit, …)
call!(call_io_submit, "__x64_sys_io_submit");
// long __x64_sys_io_getevents(const struct pt_regs *regs): fs/aio.c, SYSCALL_DEFINE5(io_getevents, …)
call!(call_io_getevents, "__x64_sys_io_getevents");
// long __x64_sys_io_pgetevents(const struct pt_regs *regs): fs/aio.c, SYSCALL_DEFINE6(io_pgetevents, …)
call!(call_io_pgetevents, "__x64_sys_io_pgetevents");
// long __x64_sys_getsockopt(const struct pt_regs *regs): net/socket.c, SYSCALL_DEFINE5(getsockopt, …)
call!(call_getsockopt, "__x64_sys_getsockopt");

// The same calls of 32-bit programs: SYSCALL_DEFINE and COMPAT_SYSCALL_DEFINE in the same files.
call!(narrow_sendfile, "__ia32_compat_sys_sendfile");
call!(narrow_sendfile64, "__ia32_sys_sendfile64");
call!(narrow_splice, "__ia32_sys_splice");
call!(narrow_tee, "__ia32_sys_tee");
call!(narrow_vmsplice, "__ia32_sys_vmsplice");
call!(narrow_copy_file_range, "__ia32_sys_copy_file_range");
call!(narrow_io_submit, "__ia32_compat_sys_io_submit");
call!(narrow_io_getevents, "__ia32_sys_io_getevents_time32");

// unsigned long ksys_mmap_pgoff(unsigned long addr, unsigned long len, unsigned long prot,
//     unsigned long flags, unsigned long fd, unsigned long pgoff): mm/mmap.c; of all kinds of programs
#[fexit(function = "ksys_mmap_pgoff")]
fn map_file(ctx: FExitContext) -> i32 {
    let result: u64 = ctx.arg(6);
    // Errors lie within the last page.
    if result < u64::MAX - 4095 {
        let (protection, flags, number): (u64, u64, u64) = (ctx.arg(2), ctx.arg(3), ctx.arg(4));
        file_mapped(ctx.arg(1), protection as u32, flags as u32, number as u32);
    }
    0
}

// struct file *do_accept(struct file *file, …, int flags), with five arguments: net/socket.c
#[fexit(function = "do_accept")]
fn do_accept(ctx: FExitContext) -> i32 {
    let file = address(ctx.arg(5));
    // Error pointers lie within the last page.
    if file != 0 && file < u64::MAX - 4095 {
        network_accepted(file);
    }
    0
}

// int __sys_connect_file(struct file *file, struct sockaddr_storage *address, int addrlen, int file_flags): net/socket.c
#[fexit(function = "__sys_connect_file")]
fn connect_file(ctx: FExitContext) -> i32 {
    let (file, result) = (address(ctx.arg(0)), ctx.arg(4));
    if result < 0 {
        let length: u64 = ctx.arg(2);
        network_refused(file, result, address(ctx.arg(1)), length as u32);
    } else {
        network_connected(file, result);
    }
    0
}
