//! Which system calls move bytes, and between what: the table by which the hook
//! at the end of every system call decides, first of all, whether to go on.

/// What a system call does that is counted. One that does nothing of it is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action;

impl Action {
    /// Reads from descriptor 0 (of the arguments).
    pub const READ: u8 = 1;
    /// Writes to descriptor 0.
    pub const WRITE: u8 = 2;
    /// Opens a file; the descriptor is the result.
    pub const OPEN: u8 = 3;
    /// Writes to descriptor 0 what it reads from descriptor 1.
    pub const SENDFILE: u8 = 4;
    /// Writes to descriptor 2 what it reads from descriptor 0 (`splice`, `copy_file_range`).
    pub const COPY: u8 = 5;
    /// Writes to descriptor 1 what stays in descriptor 0 (`tee`).
    pub const TEE: u8 = 6;
    /// Moves memory into a pipe's end, or out of it: the end's mode says which (`vmsplice`).
    pub const VMSPLICE: u8 = 7;
    /// Accepts a connection; the descriptor is the result.
    pub const ACCEPT: u8 = 8;
    /// Connects descriptor 0 to the address in argument 1.
    pub const CONNECT: u8 = 9;
    /// Sends through descriptor 0 to the address in argument 4.
    pub const SENDTO: u8 = 10;
    /// Receives through descriptor 0; the sender is put into argument 4.
    pub const RECVFROM: u8 = 11;
    /// Sends the message that argument 1 points to.
    pub const SENDMSG: u8 = 12;
    /// Receives into the message that argument 1 points to.
    pub const RECVMSG: u8 = 13;
    /// Sends the array of messages in argument 1.
    pub const SENDMMSG: u8 = 14;
    /// Receives into the array of messages in argument 1.
    pub const RECVMMSG: u8 = 15;
}

/// Numbers of system calls that the table holds; those beyond are none of ours.
pub const CALLS: usize = 512;

/// What a system call of 64-bit (lowest byte) and of 32-bit (next byte) programs does, by number.
///
/// Negative for those that send or receive messages, which the hooks of sockets have counted: mostly nothing is
/// left to do at their end, so that one comparison tells them and those that do nothing from all others.
///
/// The calls of 32-bit programs that pass addresses of sockets are not told
/// apart by peer: their structs are laid out otherwise. Their bytes count all the same.
pub type Calls = [i32; CALLS];

/// x86-64, and the 32-bit programs that it runs: `syscall_64.tbl` and `syscall_32.tbl`.
pub const X86: Calls = table(
    &[
        (0, Action::READ),       // read
        (1, Action::WRITE),      // write
        (2, Action::OPEN),       // open
        (17, Action::READ),      // pread64
        (18, Action::WRITE),     // pwrite64
        (19, Action::READ),      // readv
        (20, Action::WRITE),     // writev
        (40, Action::SENDFILE),  // sendfile
        (42, Action::CONNECT),   // connect
        (43, Action::ACCEPT),    // accept
        (44, Action::SENDTO),    // sendto
        (45, Action::RECVFROM),  // recvfrom
        (46, Action::SENDMSG),   // sendmsg
        (47, Action::RECVMSG),   // recvmsg
        (85, Action::OPEN),      // creat
        (257, Action::OPEN),     // openat
        (275, Action::COPY),     // splice
        (276, Action::TEE),      // tee
        (278, Action::VMSPLICE), // vmsplice
        (288, Action::ACCEPT),   // accept4
        (295, Action::READ),     // preadv
        (296, Action::WRITE),    // pwritev
        (299, Action::RECVMMSG), // recvmmsg
        (304, Action::OPEN),     // open_by_handle_at
        (307, Action::SENDMMSG), // sendmmsg
        (326, Action::COPY),     // copy_file_range
        (327, Action::READ),     // preadv2
        (328, Action::WRITE),    // pwritev2
        (437, Action::OPEN),     // openat2
    ],
    &[
        (3, Action::READ),       // read
        (4, Action::WRITE),      // write
        (5, Action::OPEN),       // open
        (8, Action::OPEN),       // creat
        (145, Action::READ),     // readv
        (146, Action::WRITE),    // writev
        (180, Action::READ),     // pread64
        (181, Action::WRITE),    // pwrite64
        (187, Action::SENDFILE), // sendfile
        (239, Action::SENDFILE), // sendfile64
        (295, Action::OPEN),     // openat
        (313, Action::COPY),     // splice
        (315, Action::TEE),      // tee
        (316, Action::VMSPLICE), // vmsplice
        (333, Action::READ),     // preadv
        (334, Action::WRITE),    // pwritev
        (342, Action::OPEN),     // open_by_handle_at
        (362, Action::CONNECT),  // connect
        (364, Action::ACCEPT),   // accept4
        (377, Action::COPY),     // copy_file_range
        (378, Action::READ),     // preadv2
        (379, Action::WRITE),    // pwritev2
        (437, Action::OPEN),     // openat2
    ],
);

const fn table(wide: &[(usize, u8)], narrow: &[(usize, u8)]) -> Calls {
    let mut calls = [0; CALLS];
    let mut i = 0;
    while i < wide.len() {
        let (number, action) = wide[i];
        calls[number] |= action as i32;
        if action >= Action::SENDTO {
            calls[number] |= i32::MIN;
        }
        i += 1;
    }
    i = 0;
    while i < narrow.len() {
        let (number, action) = narrow[i];
        calls[number] |= (action as i32) << 8;
        i += 1;
    }
    calls
}

/// What the operations of io_uring do, by `enum io_uring_op` (`linux/io_uring.h`). What sockets
/// send and receive is counted at the socket, where the kernel has a hook for that.
pub const fn uring(opcode: u8) -> u8 {
    match opcode {
        // READV, READ_FIXED, RECVMSG, READ, RECV, READ_MULTISHOT, READV_FIXED
        1 | 4 | 10 | 22 | 27 | 49 | 60 => Action::READ,
        // WRITEV, WRITE_FIXED, SENDMSG, WRITE, SEND, SEND_ZC, SENDMSG_ZC, WRITEV_FIXED
        2 | 5 | 9 | 23 | 26 | 47 | 48 | 61 => Action::WRITE,
        13 => Action::ACCEPT,
        16 => Action::CONNECT,
        // OPENAT, OPENAT2
        18 | 28 => Action::OPEN,
        30 => Action::COPY,
        33 => Action::TEE,
        _ => 0,
    }
}

crate::offsets! {
    /// Registers of a task in a system call.
    pub struct RegisterOffsets from 192 {
        number = required "pt_regs"."orig_ax",
        argument_0 = required "pt_regs"."di",
        argument_1 = required "pt_regs"."si",
        argument_2 = required "pt_regs"."dx",
        argument_3 = required "pt_regs"."r10",
        argument_4 = required "pt_regs"."r8",
        narrow_0 = required "pt_regs"."bx",
        narrow_1 = required "pt_regs"."cx",
        task_status = required "task_struct"."thread_info.status",
    }
}

/// `TS_COMPAT` of x86's `thread_info.status`: the task is in a system call of a 32-bit program.
pub const COMPAT: u32 = 2;
