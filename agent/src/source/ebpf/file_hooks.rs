//! The hooks that count files.

use super::hook::{Attach, Family, Hook};

/// A hook of one family. The rest of its fields follow from these.
const fn hook(
    program: &'static str,
    attach: Attach,
    family: Family,
    gives: &'static str,
    required: bool,
) -> Hook {
    Hook {
        program,
        attach,
        family,
        gives,
        needs: match family {
            Family::Vfs => "trampolines (fexit), and the function not inlined",
            _ => "the tracepoint",
        },
        fallback: if required {
            "files are not counted: try the other family of hooks"
        } else {
            "not counted"
        },
        required,
        unless: None,
        instead: None,
    }
}

const fn function(
    program: &'static str,
    name: &'static str,
    gives: &'static str,
    required: bool,
) -> Hook {
    hook(program, Attach::Exit(name), Family::Vfs, gives, required)
}

/// The function of a system call of 32-bit programs.
const fn narrow(program: &'static str, name: &'static str, gives: &'static str) -> Hook {
    Hook {
        instead: Some("this kernel runs no 32-bit programs, or has another function"),
        ..function(program, name, gives, false)
    }
}

/// Hooks that count it.
pub const HOOKS: &[Hook] = &[
    hook(
        "sys_exit",
        Attach::Tracepoint("sys_exit"),
        Family::Syscall,
        "bytes, operations and opens by process and file; connections accepted; peers of datagrams; \
         before 6.3 all bytes of sockets",
        true,
    ),
    function("vfs_read", "vfs_read", "bytes read (read, pread)", true),
    function(
        "vfs_write",
        "vfs_write",
        "bytes written (write, pwrite)",
        true,
    ),
    function(
        "vfs_readv",
        "vfs_readv",
        "bytes read by readv, preadv",
        true,
    ),
    function(
        "vfs_writev",
        "vfs_writev",
        "bytes written by writev, pwritev",
        true,
    ),
    function("do_filp_open", "do_filp_open", "opens", true),
    function(
        "call_sendfile",
        "__x64_sys_sendfile64",
        "bytes moved by sendfile of 64-bit programs",
        false,
    ),
    function(
        "call_splice",
        "__x64_sys_splice",
        "bytes moved by splice of 64-bit programs",
        false,
    ),
    function(
        "call_tee",
        "__x64_sys_tee",
        "bytes moved by tee of 64-bit programs",
        false,
    ),
    function(
        "call_vmsplice",
        "__x64_sys_vmsplice",
        "bytes moved by vmsplice of 64-bit programs",
        false,
    ),
    function(
        "call_copy_file_range",
        "__x64_sys_copy_file_range",
        "bytes moved by copy_file_range of 64-bit programs",
        false,
    ),
    function(
        "call_open_by_handle_at",
        "__x64_sys_open_by_handle_at",
        "opens by handle of 64-bit programs",
        false,
    ),
    function(
        "call_mq_timedsend",
        "__x64_sys_mq_timedsend",
        "bytes sent to message queues by 64-bit programs",
        false,
    ),
    function(
        "call_mq_timedreceive",
        "__x64_sys_mq_timedreceive",
        "bytes received from message queues by 64-bit programs",
        false,
    ),
    function(
        "call_io_submit",
        "__x64_sys_io_submit",
        "files of asynchronous requests (io_submit) of 64-bit programs",
        false,
    ),
    function(
        "call_io_getevents",
        "__x64_sys_io_getevents",
        "bytes moved by io_submit of 64-bit programs",
        false,
    ),
    function(
        "call_io_pgetevents",
        "__x64_sys_io_pgetevents",
        "bytes moved by io_submit, fetched by io_pgetevents of 64-bit programs",
        false,
    ),
    narrow(
        "narrow_sendfile",
        "__ia32_compat_sys_sendfile",
        "bytes moved by sendfile of 32-bit programs",
    ),
    narrow(
        "narrow_sendfile64",
        "__ia32_sys_sendfile64",
        "bytes moved by sendfile64 of 32-bit programs",
    ),
    narrow(
        "narrow_splice",
        "__ia32_sys_splice",
        "bytes moved by splice of 32-bit programs",
    ),
    narrow(
        "narrow_tee",
        "__ia32_sys_tee",
        "bytes moved by tee of 32-bit programs",
    ),
    narrow(
        "narrow_vmsplice",
        "__ia32_sys_vmsplice",
        "bytes moved by vmsplice of 32-bit programs",
    ),
    narrow(
        "narrow_copy_file_range",
        "__ia32_sys_copy_file_range",
        "bytes moved by copy_file_range of 32-bit programs",
    ),
    narrow(
        "narrow_io_submit",
        "__ia32_compat_sys_io_submit",
        "files of asynchronous requests (io_submit) of 32-bit programs",
    ),
    narrow(
        "narrow_io_getevents",
        "__ia32_sys_io_getevents_time32",
        "bytes moved by io_submit of 32-bit programs",
    ),
    function(
        "map_file",
        "ksys_mmap_pgoff",
        "that files are mapped into memory",
        false,
    ),
    Hook {
        instead: Some("Linux has it from 6.12 on"),
        ..hook(
            "mapped_fault",
            Attach::Tracepoint("mm_filemap_fault"),
            Family::Both,
            "pages of mapped files that page faults bring in",
            false,
        )
    },
    hook(
        "io_uring_complete",
        Attach::Tracepoint("io_uring_complete"),
        Family::Both,
        "bytes, operations and opens by io_uring",
        false,
    ),
    Hook {
        instead: Some("its former name is io_uring_submit_sqe"),
        ..hook(
            "uring_submitted",
            Attach::Tracepoint("io_uring_submit_req"),
            Family::Both,
            "multishot requests of io_uring, and that there are requests without a completion",
            false,
        )
    },
    Hook {
        instead: Some("its name is now io_uring_submit_req"),
        ..hook(
            "uring_submitted_older",
            Attach::Tracepoint("io_uring_submit_sqe"),
            Family::Both,
            "multishot requests of io_uring, and that there are requests without a completion",
            false,
        )
    },
    hook(
        "uring_overflowed",
        Attach::Tracepoint("io_uring_cqe_overflow"),
        Family::Both,
        "bytes by io_uring when its completion queue is full",
        false,
    ),
];
