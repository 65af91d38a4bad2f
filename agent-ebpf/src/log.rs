//! Debug messages to the agent: what a program could not do, or did only in part.
//!
//! They go through a ring buffer of their own (`AYA_LOGS`). Only branches that have already failed call
//! this, so the usual path of a program is the same with or without it. Each limit is reported once per
//! generation, that is once per second. If the agent does not show debug messages, it sets
//! `AYA_LOG_LEVEL` to 0 before it loads the programs, and the verifier removes the messages.

use aya_log_ebpf::debug;

use crate::bound::masked;
use crate::generation;

/// A limit that a program ran into: the index of its text.
#[derive(Clone, Copy)]
pub struct Limit(u32);

/// Declares limits and their texts. A text ends with the meaning of the amount.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $index:literal: $text:literal,)+) => {
        impl Limit {
            $($(#[$doc])* pub const $name: Self = Self($index);)+
        }

        // BTF has the names of statics. A mangled one would depend on the folder of the project.
        // SAFETY: no other static has this name.
        #[unsafe(no_mangle)]
        static LIMIT_TEXTS: [[u8; TEXT_LENGTH]; LIMITS] = {
            let mut texts = [[b' '; TEXT_LENGTH]; LIMITS];
            $(texts[$index] = padded($text);)+
            texts
        };
    };
}

limits! {
    /// The map of CPU sums is full.
    CPU_MAP = 0: "map of CPU sums is full; ns not counted:",
    /// The map of file sums is full.
    FILE_MAP = 1: "map of file sums is full; bytes counted by process only:",
    /// The map of other file sums is full too.
    FILE_OTHERS_MAP = 2: "map of other file sums is full; bytes not counted:",
    /// The map of connection sums is full.
    NETWORK_MAP = 3: "map of connection sums is full; counted by process only, pid:",
    /// The map of other connection sums is full too.
    NETWORK_OTHERS_MAP = 4: "map of other connection sums is full; not counted, pid:",
    /// The map of deferred datagrams is full.
    DEFERRED_MAP = 5: "map of deferred datagrams is full; bytes without a peer:",
    /// The map of known paths is full.
    PATH_MAP = 6: "map of known paths is full; counted under other files, file:",
    /// A cgroup had too many new paths in this second.
    NEW_PATHS = 7: "more new paths than sent per second; cgroup:",
    /// A path could not be sent.
    PATH_SEND = 8: "cannot send a path: ring buffer full or scratch in use; file:",
    /// A path is too long, or too deep for the loop.
    PATH_LENGTH = 9: "path too long or too deep; bytes sent of its end:",
    /// The name of a socket could not be read.
    SOCKET_NAME = 10: "cannot read the name of a socket: scratch in use; bytes:",
    /// A descriptor was closed before its file could be read.
    DESCRIPTOR = 11: "descriptor closed during its call; bytes without a path:",
    /// The ring buffer of events is full.
    EVENTS = 12: "ring buffer of events is full; bytes of the lost record:",
    /// The path of a program was cut, or could not be read.
    PROGRAM_PATH = 13: "path of a program is too long or cannot be read; pid:",
    /// The arguments of a program were cut, or could not be read.
    ARGUMENTS = 14: "arguments are too long or cannot be read; bytes of all:",
    /// The path of a cgroup was cut, or could not be read.
    CGROUP_PATH = 15: "path of a cgroup is too long or cannot be read; cgroup:",
    /// The map of waits is full.
    WAIT_MAP = 16: "map of waits is full; ns not counted:",
    /// The map of threads is full.
    THREAD_MAP = 17: "map of threads is full; its waits are not counted from, ns:",
}

/// Number of limits; a power of two.
const LIMITS: usize = 32;
/// All texts have one length, so that one message serves all: each would take hundreds of instructions.
/// The agent removes the padding.
const TEXT_LENGTH: usize = 64;

/// Pads a text with spaces.
const fn padded(text: &str) -> [u8; TEXT_LENGTH] {
    let mut padded = [b' '; TEXT_LENGTH];
    let (start, _) = padded.split_at_mut(text.len());
    start.copy_from_slice(text.as_bytes());
    padded
}

/// The generation in which each limit was last reported. Cores share it without a lock: at worst a
/// message appears twice.
#[unsafe(no_mangle)]
static mut LOGGED: [u64; LIMITS] = [0; LIMITS];

/// Reports a limit. The text of the limit says what `amount` is.
#[inline(always)]
pub fn limit(limit: Limit, amount: u64) {
    log_limit(limit.0, amount);
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn log_limit(limit: u32, amount: u64) -> u32 {
    let generation = generation::current();
    let index = masked::<{ LIMITS as i32 - 1 }>(limit.into());
    // SAFETY: below the lengths; volatile because other cores change it.
    let text = unsafe {
        let logged = (&raw mut LOGGED).cast::<u64>().add(index);
        if core::ptr::read_volatile(logged) == generation {
            return 0;
        }
        core::ptr::write_volatile(logged, generation);
        &*(&raw const LIMIT_TEXTS)
            .cast::<[u8; TEXT_LENGTH]>()
            .add(index)
    };
    // SAFETY: the texts are ASCII.
    let text = unsafe { core::str::from_utf8_unchecked(text) };
    debug!((), "{} {}", text, amount);
    0
}
