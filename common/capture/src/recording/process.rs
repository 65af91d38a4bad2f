//! Facts of processes in events, converted for the sink.

use bubble_common::segment::process::{Exit, Memory};

/// How a thread ended, from its status as `wait(2)` returns it.
pub(crate) fn exit_from_status(status: u32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code((status >> 8) as u8),
        signal => Exit::Signal(signal as u8),
    }
}

/// Most virtual memory of a process, in KiB: five levels of pages.
const MAX_VIRTUAL_KIB: u64 = 1 << 47;
/// Most memory of a machine, in KiB: 52 bits of physical addresses.
pub(crate) const MAX_MACHINE_KIB: u64 = 1 << 42;

/// Sizes of memory in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// These.
    Of(Memory),
    /// A kernel thread, which has no memory of its own.
    None,
    /// More than a machine can have.
    Implausible,
}

/// Sizes of memory from virtual, resident and swapped-out KiB, on a machine that has `machine`
/// KiB.
pub(crate) fn memory_from_kib([vm, rss, swap]: [u64; 3], machine: u64) -> Sizes {
    if vm == 0 {
        return Sizes::None;
    }
    if vm > MAX_VIRTUAL_KIB || rss > machine || swap > MAX_VIRTUAL_KIB {
        return Sizes::Implausible;
    }
    Sizes::Of(Memory {
        vm: vm * 1_024,
        rss: rss * 1_024,
        swap: swap * 1_024,
        private: rss * 1_024,
    })
}
