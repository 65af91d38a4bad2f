//! Attaches an empty program to every tracepoint of the hook family `syscall`. It measures the kernel's
//! own cost of calling a program: no observer at these tracepoints can add less.
//!
//! The variant `empty-syscall` of `cargo xtask bench overhead`. Runs as root until it is killed.

use std::ffi::CString;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use bubble_agent::source::ebpf::bpf::bpf;
use bubble_agent::source::ebpf::hook::{Attach, Family};
use bubble_agent::source::ebpf::hooks;

// `enum bpf_cmd` and `enum bpf_prog_type` of Linux `include/uapi/linux/bpf.h`.
const PROGRAM_LOAD: libc::c_int = 5;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const TYPE_RAW_TRACEPOINT: u32 = 17;

/// `r0 = 0; exit`
const NOTHING: [u64; 2] = [0xb7, 0x95];

/// The part of `union bpf_attr` that loads a program.
#[repr(C)]
struct Load {
    kind: u32,
    instructions: u32,
    first: u64,
    license: u64,
}

/// The part of `union bpf_attr` that attaches one.
#[repr(C)]
struct Open {
    name: u64,
    program: u32,
    unused: u32,
}

fn main() -> Result<()> {
    let license = c"GPL";
    let mut load = Load {
        kind: TYPE_RAW_TRACEPOINT,
        instructions: NOTHING.len() as u32,
        first: NOTHING.as_ptr() as u64,
        license: license.as_ptr() as u64,
    };
    // SAFETY: the instructions and the license outlive the call.
    let program = unsafe { bpf(PROGRAM_LOAD, &mut load) }.context("the kernel takes no program")?;
    let mut attached = Vec::new();
    for hook in hooks::table().filter(|hook| hook.family.suits(Family::Syscall)) {
        let Attach::Tracepoint(name) = hook.attach else {
            continue;
        };
        let text = CString::new(name)?;
        let mut open = Open {
            name: text.as_ptr() as u64,
            program: program as u32,
            unused: 0,
        };
        // The descriptor stays open until the process ends.
        // SAFETY: the name outlives the call, and `program` is an open descriptor.
        match unsafe { bpf(RAW_TRACEPOINT_OPEN, &mut open) } {
            Ok(_) => attached.push(name),
            Err(error) => eprintln!("not attached to {name}: {error}"),
        }
    }
    ensure!(
        attached.contains(&"sys_exit"),
        "not even system calls are hooked"
    );
    println!("attached to {}", attached.join(", "));
    loop {
        thread::park();
    }
}
