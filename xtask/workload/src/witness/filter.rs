//! The seccomp filter that stops a traced process at the calls that `/proc/PID/io` does not suffice for.

use std::io;

use super::call::CALLS;

/// `AUDIT_ARCH_…` of `linux/audit.h` for this architecture. Programs of another one are not stopped.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data` of `linux/seccomp.h`.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

/// Jumps over `jt` statements if the accumulator equals `k`, and over `jf` otherwise.
fn jump(k: u32, jt: usize, jf: usize) -> libc::sock_filter {
    libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: jt as u8,
        jf: jf as u8,
        k,
    }
}

/// Installs the filter for this process and its descendants. Without `CAP_SYS_ADMIN`, they can no longer
/// gain rights by set-user-ID programs.
pub(super) fn install() -> io::Result<()> {
    let calls = CALLS.len();
    let mut program = vec![
        statement(LOAD, ARCHITECTURE_OFFSET),
        jump(ARCHITECTURE, 0, calls + 1),
        statement(LOAD, NUMBER_OFFSET),
    ];
    for (index, (number, _)) in CALLS.iter().enumerate() {
        program.push(jump(*number as u32, calls - index, 0));
    }
    program.push(statement(RETURN, libc::SECCOMP_RET_ALLOW));
    program.push(statement(RETURN, libc::SECCOMP_RET_TRACE));
    match set(&mut program) {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            // SAFETY: sets an attribute of this process and touches no memory.
            unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            set(&mut program)
        }
        done => done,
    }
}

fn set(program: &mut [libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    let (set, mode) = (libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER);
    // SAFETY: the pointer and the length are those of a live slice, which the kernel copies.
    match unsafe { libc::prctl(set, mode, &raw const filter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
