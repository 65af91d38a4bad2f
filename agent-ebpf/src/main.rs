//! The kernel side of bubble-agent: counts what tasks do and keeps sums in maps.
//!
//! One file a concern, each with its hooks and its maps: `cpu`, `process`, `oom`
//! and `cgroup`. They share what comes first: `btf` (reading the kernel's
//! structs), `running` (who runs on this core), `generation` (which of two maps
//! is being written), `record` (the ring buffer) and `loss`.
//!
//! Every hook has one shape: a thin entry with the kernel's prototype beside it,
//! and a twin `try_…` in which a pointer that cannot be had ends the matter. No
//! hook waits, takes a lock of its own or sends an event for each system call.
#![no_std]
#![no_main]
// Sums that several cores add to: the target's atomic types have no operations.
#![feature(core_intrinsics)]
// Loads at places that the agent fills in: see `btf`.
#![feature(asm_experimental_arch)]
#![expect(internal_features, reason = "see above")]

mod bound;
mod btf;
mod cgroup;
mod cpu;
mod file;
mod file_line;
mod file_path;
mod file_uring;
mod file_vfs;
mod generation;
mod loss;
mod network;
mod network_accept;
mod network_exit;
mod network_name;
mod network_peer;
mod network_tcp;
mod network_vfs;
mod oom;
mod process;
mod record;
mod running;
mod settings;
mod syscall;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
