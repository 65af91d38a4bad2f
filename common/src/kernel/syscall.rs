//! What system calls do with bytes. The hook at syscall exit reads the action of a call first, and stops
//! for calls without one.

/// What a system call does. 0 stands for calls that are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action;

impl Action {
    /// Reads from the descriptor in argument 0.
    pub const READ: u8 = 1;
    /// Writes to the descriptor in argument 0.
    pub const WRITE: u8 = 2;
    /// Opens a file and returns its descriptor.
    pub const OPEN: u8 = 3;
    /// Reads from the descriptor in argument 1 and writes to the one in argument 0.
    pub const SENDFILE: u8 = 4;
    /// Reads from the descriptor in argument 0 and writes to the one in argument 2 (`splice`,
    /// `copy_file_range`).
    pub const COPY: u8 = 5;
    /// Writes to the descriptor in argument 1, without consuming from the one in argument 0 (`tee`).
    pub const TEE: u8 = 6;
    /// Moves memory into or out of a pipe, depending on the mode of the descriptor (`vmsplice`).
    pub const VMSPLICE: u8 = 7;
    /// Accepts a connection and returns its descriptor.
    pub const ACCEPT: u8 = 8;
    /// Connects the descriptor in argument 0 to the address in argument 1.
    pub const CONNECT: u8 = 9;
    /// Sends to the address in argument 4.
    pub const SENDTO: u8 = 10;
    /// Receives, and writes the sender's address to argument 4.
    pub const RECVFROM: u8 = 11;
    /// Sends the message that argument 1 points to.
    pub const SENDMSG: u8 = 12;
    /// Receives into the message that argument 1 points to.
    pub const RECVMSG: u8 = 13;
    /// Sends the array of messages in argument 1.
    pub const SENDMMSG: u8 = 14;
    /// Receives into the array of messages in argument 1.
    pub const RECVMMSG: u8 = 15;
    /// Maps the descriptor in argument 4 (`mmap`).
    pub const MAP: u8 = 16;
    /// Submits the requests that the array in argument 2 points to (`io_submit`).
    pub const SUBMIT: u8 = 17;
    /// Fetches the results of such requests into the array in argument 3 (`io_getevents`).
    pub const REAP: u8 = 18;
    /// Writes as many bytes as argument 2 says to the descriptor in argument 0, and returns 0.
    pub const SEND_LENGTH: u8 = 19;
    /// Reads an option of the socket in argument 0; one of them receives (`TCP_ZEROCOPY_RECEIVE`).
    pub const OPTION: u8 = 20;
    /// Socket call number argument 0 of a 32-bit program, with the arguments that argument 1 points to.
    pub const SOCKETCALL: u8 = 21;

    /// Whether it sends or receives messages.
    pub const fn is_message(action: u8) -> bool {
        action >= Self::SENDTO && action <= Self::RECVMMSG
    }
}

/// Length of the table. No system call beyond it is counted.
pub const CALL_COUNT: usize = 512;

/// Actions of each system call, by number: of 64-bit programs in the lowest byte, of 32-bit programs in
/// the next.
///
/// Calls that send or receive messages are negative. The hooks of sockets have usually counted them
/// already, so one comparison (`<= 0`) skips them together with the calls that are not counted.
///
/// The rows are in [`calls`](super::calls).
pub type Calls = [i32; CALL_COUNT];

/// Action of an io_uring operation, by `enum io_uring_op` (`linux/io_uring.h`). Where the kernel has
/// hooks for sockets, these count what sockets send and receive instead.
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
    /// Registers of a task during a system call.
    pub struct RegisterOffsets from 192 {
        number = required "pt_regs"."orig_ax",
        result = required "pt_regs"."ax",
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

/// `TS_COMPAT` of x86's `thread_info.status`: the system call is one of a 32-bit program.
pub const TS_COMPAT: u32 = 2;
