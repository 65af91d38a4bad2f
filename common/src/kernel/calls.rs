//! The table of all system calls: which move bytes, how each is counted, and why some are not.
//!
//! The kernel side gets its table of [`Action`]s from here. docs/counting.md has the same rows. The tests
//! compare both with the kernel's own lists, so a new system call fails them until it has a row.

use super::syscall::{Action, CALL_COUNT, Calls};

/// A system call that moves bytes, or seems to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its name in `unistd.h`.
    pub name: &'static str,
    /// Number for 64-bit programs of x86-64 (`syscall_64.tbl`); [`NONE`] if it has none.
    pub x86_64: u16,
    /// Number for 32-bit programs of x86-64 (`syscall_32.tbl`).
    pub x86_32: u16,
    /// Number for programs of arm64 (`asm-generic/unistd.h`).
    pub arm64: u16,
    /// How it is counted.
    pub counting: Counting,
}

/// How the bytes of a system call are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// At its end, by this [`Action`], or by the kernel's own function where that can be hooked.
    Action(u8),
    /// By another hook, in these words.
    Hook(&'static str),
    /// No I/O of a file or socket, for this reason.
    No(&'static str),
}

/// An architecture without this call.
pub const NONE: u16 = u16::MAX;

const fn call(name: &'static str, numbers: [u16; 3], counting: Counting) -> Call {
    let [x86_64, x86_32, arm64] = numbers;
    Call {
        name,
        x86_64,
        x86_32,
        arm64,
        counting,
    }
}

const fn counted(name: &'static str, numbers: [u16; 3], action: u8) -> Call {
    call(name, numbers, Counting::Action(action))
}

const fn no(name: &'static str, numbers: [u16; 3], why: &'static str) -> Call {
    call(name, numbers, Counting::No(why))
}

/// Reasons that several calls share.
const MEMORY: &str = "memory of processes: neither a file nor a socket";
const METADATA: &str = "metadata of files, no content";
const KERNEL: &str = "the kernel itself reads or writes the file";
const CACHE: &str = "moves pages between cache and disk, none to or from the process";
const CONFIGURATION: &str = "configures the kernel";

/// Every call that moves bytes, or seems to.
#[rustfmt::skip]
pub const CALLS: &[Call] = &[
    counted("read", [0, 3, 63], Action::READ),
    counted("write", [1, 4, 64], Action::WRITE),
    counted("pread64", [17, 180, 67], Action::READ),
    counted("pwrite64", [18, 181, 68], Action::WRITE),
    counted("readv", [19, 145, 65], Action::READ),
    counted("writev", [20, 146, 66], Action::WRITE),
    counted("preadv", [295, 333, 69], Action::READ),
    counted("pwritev", [296, 334, 70], Action::WRITE),
    counted("preadv2", [327, 378, 286], Action::READ),
    counted("pwritev2", [328, 379, 287], Action::WRITE),
    counted("open", [2, 5, NONE], Action::OPEN),
    counted("creat", [85, 8, NONE], Action::OPEN),
    counted("openat", [257, 295, 56], Action::OPEN),
    counted("openat2", [437, 437, 437], Action::OPEN),
    counted("open_by_handle_at", [304, 342, 265], Action::OPEN),
    counted("sendfile", [40, 187, 71], Action::SENDFILE),
    counted("sendfile64", [NONE, 239, NONE], Action::SENDFILE),
    counted("splice", [275, 313, 76], Action::COPY),
    counted("copy_file_range", [326, 377, 285], Action::COPY),
    counted("tee", [276, 315, 77], Action::TEE),
    counted("vmsplice", [278, 316, 75], Action::VMSPLICE),
    counted("accept", [43, NONE, 202], Action::ACCEPT),
    counted("accept4", [288, 364, 242], Action::ACCEPT),
    counted("connect", [42, 362, 203], Action::CONNECT),
    counted("sendto", [44, 369, 206], Action::SENDTO),
    counted("recvfrom", [45, 371, 207], Action::RECVFROM),
    counted("sendmsg", [46, 370, 211], Action::SENDMSG),
    counted("recvmsg", [47, 372, 212], Action::RECVMSG),
    counted("sendmmsg", [307, 345, 269], Action::SENDMMSG),
    counted("recvmmsg", [299, 337, 243], Action::RECVMMSG),
    counted("recvmmsg_time64", [NONE, 417, NONE], Action::RECVMMSG),
    counted("socketcall", [NONE, 102, NONE], Action::SOCKETCALL),
    counted("getsockopt", [55, 365, 209], Action::OPTION),
    counted("mq_timedsend", [242, 279, 182], Action::SEND_LENGTH),
    counted("mq_timedsend_time64", [NONE, 418, NONE], Action::SEND_LENGTH),
    counted("mq_timedreceive", [243, 280, 183], Action::READ),
    counted("mq_timedreceive_time64", [NONE, 419, NONE], Action::READ),
    counted("io_submit", [209, 248, 2], Action::SUBMIT),
    counted("io_getevents", [208, 247, 4], Action::REAP),
    counted("io_pgetevents", [333, 385, 292], Action::REAP),
    counted("io_pgetevents_time64", [NONE, 416, NONE], Action::REAP),
    counted("mmap", [9, 90, 222], Action::MAP),
    counted("mmap2", [NONE, 192, NONE], Action::MAP),
    call("io_uring_enter", [426, 426, 426], Counting::Hook("io_uring_complete; requests without a visible result are a loss (io_uring)")),
    no("msync", [26, 144, 227], CACHE),
    no("mremap", [25, 163, 216], MEMORY),
    no("remap_file_pages", [216, 257, 234], "changes a mapping that mmap has made"),
    no("process_vm_readv", [310, 347, 270], MEMORY),
    no("process_vm_writev", [311, 348, 271], MEMORY),
    no("msgsnd", [69, 400, 189], MEMORY),
    no("msgrcv", [70, 401, 188], MEMORY),
    no("ipc", [NONE, 117, NONE], MEMORY),
    no("shmat", [30, 397, 196], MEMORY),
    no("ioctl", [16, 54, 29], "depends on the device; a reflink (FICLONE) shares blocks and moves no bytes"),
    no("getdents", [78, 141, NONE], METADATA),
    no("getdents64", [217, 220, 61], METADATA),
    no("readdir", [NONE, 89, NONE], METADATA),
    no("readahead", [187, 225, 213], CACHE),
    no("fadvise64", [221, 250, 223], CACHE),
    no("fadvise64_64", [NONE, 272, NONE], CACHE),
    no("madvise", [28, 219, 233], MEMORY),
    no("process_madvise", [440, 440, 440], MEMORY),
    no("readlink", [89, 85, NONE], METADATA),
    no("readlinkat", [267, 305, 78], METADATA),
    no("getxattr", [191, 229, 8], METADATA),
    no("lgetxattr", [192, 230, 9], METADATA),
    no("fgetxattr", [193, 231, 10], METADATA),
    no("setxattr", [188, 226, 5], METADATA),
    no("lsetxattr", [189, 227, 6], METADATA),
    no("fsetxattr", [190, 228, 7], METADATA),
    no("getxattrat", [464, 464, 464], METADATA),
    no("setxattrat", [463, 463, 463], METADATA),
    no("listxattr", [194, 232, 11], METADATA),
    no("llistxattr", [195, 233, 12], METADATA),
    no("flistxattr", [196, 234, 13], METADATA),
    no("listxattrat", [465, 465, 465], METADATA),
    no("keyctl", [250, 288, 219], CONFIGURATION),
    no("add_key", [248, 286, 217], CONFIGURATION),
    no("request_key", [249, 287, 218], CONFIGURATION),
    no("finit_module", [313, 350, 273], KERNEL),
    no("init_module", [175, 128, 105], CONFIGURATION),
    no("kexec_file_load", [320, NONE, 294], KERNEL),
    no("kexec_load", [246, 283, 104], CONFIGURATION),
    no("execve", [59, 11, 221], KERNEL),
    no("execveat", [322, 358, 281], KERNEL),
    no("uselib", [134, 86, NONE], KERNEL),
    no("acct", [163, 51, 89], KERNEL),
    no("ptrace", [101, 26, 117], MEMORY),
    no("pidfd_getfd", [438, 438, 438], "copies a descriptor"),
    no("userfaultfd", [323, 374, 282], MEMORY),
    no("bpf", [321, 357, 280], CONFIGURATION),
    no("syslog", [103, 103, 116], CONFIGURATION),
    no("perf_event_open", [298, 336, 241], CONFIGURATION),
    no("getrandom", [318, 355, 278], "no file"),
    no("fallocate", [285, 324, 47], METADATA),
    no("sync_file_range", [277, 314, 84], CACHE),
    no("sync_file_range2", [NONE, NONE, NONE], CACHE),
    no("syncfs", [306, 344, 267], CACHE),
    no("sync", [162, 36, 81], CACHE),
    no("fsync", [74, 118, 82], CACHE),
    no("fdatasync", [75, 148, 83], CACHE),
    no("statmount", [457, 457, 457], METADATA),
    no("listmount", [458, 458, 458], METADATA),
    no("cachestat", [451, 451, 451], METADATA),
    no("mount", [165, 21, 40], CONFIGURATION),
    no("fsconfig", [431, 431, 431], CONFIGURATION),
    no("process_mrelease", [448, 448, 448], CACHE),
    no("swapon", [167, 87, 224], KERNEL),
    no("swapoff", [168, 115, 225], KERNEL),
    no("getpmsg", [181, 188, NONE], "not implemented by Linux"),
    no("putpmsg", [182, 189, NONE], "not implemented by Linux"),
    no("lookup_dcookie", [212, 253, 18], METADATA),
    no("sysfs", [139, 135, NONE], CONFIGURATION),
    no("name_to_handle_at", [303, 341, 264], METADATA),
];

/// Every other call: it moves no bytes of files or sockets.
#[rustfmt::skip]
pub const OTHERS: &[&str] = &[
    "_llseek", "_newselect", "_sysctl", "access", "adjtimex", "afs_syscall", "alarm", "arch_prctl",
    "bdflush", "bind", "break", "brk", "capget", "capset", "chdir", "chmod", "chown", "chown32", "chroot",
    "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "clock_settime", "clock_settime64",
    "clone", "clone3", "close", "close_range", "create_module", "delete_module", "dup", "dup2", "dup3",
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "exit", "exit_group", "faccessat", "faccessat2",
    "fanotify_init", "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32",
    "fchownat", "fcntl", "fcntl64", "file_getattr", "file_setattr", "flock", "fork", "fremovexattr",
    "fsmount", "fsopen", "fspick", "fstat", "fstat64", "fstatat", "fstatat64", "fstatfs", "fstatfs64",
    "ftime", "ftruncate", "ftruncate64", "futex", "futex_requeue", "futex_time64", "futex_wait",
    "futex_waitv", "futex_wake", "futimesat", "get_kernel_syms", "get_mempolicy", "get_robust_list",
    "get_thread_area", "getcpu", "getcwd", "getegid", "getegid32", "geteuid", "geteuid32", "getgid",
    "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername", "getpgid", "getpgrp", "getpid",
    "getppid", "getpriority", "getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit",
    "getrusage", "getsid", "getsockname", "gettid", "gettimeofday", "getuid", "getuid32", "gtty", "idle",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy",
    "io_setup", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "ioprio_get", "ioprio_set", "kcmp",
    "kill", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32",
    "link", "linkat", "listen", "listns", "lock", "lremovexattr", "lseek", "lsm_get_self_attr",
    "lsm_list_modules", "lsm_set_self_attr", "lstat", "lstat64", "map_shadow_stack", "mbind", "membarrier",
    "memfd_create", "memfd_secret", "migrate_pages", "mincore", "mkdir", "mkdirat", "mknod", "mknodat",
    "mlock", "mlock2", "mlockall", "modify_ldt", "mount_setattr", "move_mount", "move_pages", "mprotect",
    "mpx", "mq_getsetattr", "mq_notify", "mq_open", "mq_unlink", "mseal", "msgctl", "msgget", "munlock",
    "munlockall", "munmap", "nanosleep", "newfstatat", "nfsservctl", "nice", "oldfstat", "oldlstat",
    "oldolduname", "oldstat", "olduname", "open_tree", "open_tree_attr", "pause", "personality",
    "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pivot_root", "pkey_alloc", "pkey_free",
    "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl", "prlimit64", "prof", "profil", "pselect6",
    "pselect6_time64", "query_module", "quotactl", "quotactl_fd", "reboot", "removexattr", "removexattrat",
    "rename", "renameat", "renameat2", "restart_syscall", "rmdir", "rseq", "rseq_slice_yield",
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr",
    "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "security", "select", "semctl",
    "semget", "semop", "semtimedop", "semtimedop_time64", "set_mempolicy", "set_mempolicy_home_node",
    "set_robust_list", "set_thread_area", "set_tid_address", "setdomainname", "setfsgid", "setfsgid32",
    "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "sethostname", "setitimer",
    "setns", "setpgid", "setpriority", "setregid", "setregid32", "setresgid", "setresgid32", "setresuid",
    "setresuid32", "setreuid", "setreuid32", "setrlimit", "setsid", "setsockopt", "settimeofday", "setuid",
    "setuid32", "sgetmask", "shmctl", "shmdt", "shmget", "shutdown", "sigaction", "sigaltstack", "signal",
    "signalfd", "signalfd4", "sigpending", "sigprocmask", "sigreturn", "sigsuspend", "socket", "socketpair",
    "ssetmask", "stat", "stat64", "statfs", "statfs64", "statx", "stime", "stty", "symlink", "symlinkat",
    "sysinfo", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
    "timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime",
    "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate", "truncate64",
    "tuxcall", "ugetrlimit", "ulimit", "umask", "umount", "umount2", "uname", "unlink", "unlinkat",
    "unshare", "uprobe", "uretprobe", "ustat", "utime", "utimensat", "utimensat_time64", "utimes", "vfork",
    "vhangup", "vm86", "vm86old", "vserver", "wait4", "waitid", "waitpid",
];

/// The actions of x86-64: see [`Calls`].
pub const fn x86() -> Calls {
    let mut calls = [0; CALL_COUNT];
    let mut i = 0;
    while i < CALLS.len() {
        let call = CALLS[i];
        i += 1;
        let Counting::Action(action) = call.counting else {
            continue;
        };
        let sign = if Action::is_message(action) {
            i32::MIN
        } else {
            0
        };
        if call.x86_64 != NONE {
            calls[call.x86_64 as usize] |= action as i32 | sign;
        }
        // The old `mmap` of 32-bit programs has its arguments in memory, and no C library calls it.
        if call.x86_32 != NONE && !(call.x86_32 == 90 && action == Action::MAP) {
            calls[call.x86_32 as usize] |= (action as i32) << 8 | sign;
        }
    }
    calls
}
