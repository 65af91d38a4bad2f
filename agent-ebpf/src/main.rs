//! The kernel side of bubble-agent: programs that count what tasks do, and keep sums in maps.
//!
//! Each layer imports only from itself and from layers below, and no files import each other in a
//! circle:
//!
//! | layer | files | role |
//! |---|---|---|
//! | hooks | `file_vfs`, `file_uring*`, `file_fault`, `syscall`, `network_vfs`, `network_tcp`, `process`, `switch`, `cgroup`, `oom` | entry points |
//! | dispatch | `transfer` | decides whether a file is a socket |
//! | waits | `wait*` | count waits; find the file or connection of each |
//! | concerns | `file*`, `network*`, `cpu`, `cpu_moved` | count; do not know each other |
//! | counting | `last_used`, `path_id` | the cache before the maps; numbers of paths |
//! | state | `suspended` → `cpu_state`, `line` | who runs on this core, and in which system call |
//! | shared | `generation`, `sum`, `record`, `loss`, `unseen`, `log` | sums in maps, the ring buffer, debug messages |
//! | kernel | `task`, `descriptor`, `registers`, `access`, `btf`, `bound`, `settings` | reading kernel structs |
//!
//! | concern | what is counted or reported | begins in |
//! |---|---|---|
//! | files | bytes, operations, opens by process and file | `file` |
//! | network | bytes, operations, connections by process and connection | `network` |
//! | CPU | time by process and core | `cpu`, `switch` |
//! | waits | time by process and what its threads wait for, and by file and connection | `wait`, `switch` |
//! | processes | fork, exec, rename, exit | `process` |
//! | out-of-memory kills | the chosen process | `oom` |
//! | cgroups | creation and removal | `cgroup` |
//!
//! The levels through which a count passes are listed in `last_used`.
//!
//! Every hook has the same shape: a thin entry with the kernel's prototype beside it, and a twin `try_…`
//! that returns early with `?`. No hook waits, takes a lock of its own, or sends an event per system
//! call.
#![no_std]
#![no_main]
// For sums that several cores add to: the target's atomic types have no operations.
#![feature(core_intrinsics)]
// For loads at placeholders that the agent fills in: see `btf`.
#![feature(asm_experimental_arch)]
#![expect(internal_features, reason = "see above")]

mod access;
mod bound;
mod btf;
mod cgroup;
mod cpu;
mod cpu_moved;
mod cpu_state;
mod descriptor;
mod file;
mod file_aio;
mod file_chain;
mod file_fault;
mod file_line;
mod file_map;
mod file_path;
mod file_sum;
mod file_uring;
mod file_uring_overflow;
mod file_uring_submit;
mod file_vfs;
mod generation;
mod last_used;
mod line;
mod log;
mod loss;
mod network;
mod network_accept;
mod network_deferred;
mod network_exit;
mod network_key;
mod network_name;
mod network_peer;
mod network_role;
mod network_sum;
mod network_tcp;
mod network_vfs;
mod oom;
mod path_id;
mod process;
mod record;
mod registers;
mod settings;
mod sum;
mod suspended;
mod switch;
mod syscall;
mod task;
mod transfer;
mod unseen;
mod wait;
mod wait_file;
mod wait_peer;
mod wait_state;
mod wait_sum;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
