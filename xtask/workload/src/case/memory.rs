//! Memory: a child that holds it for a while, or allocates it until the kernel kills the child.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use bubble_workload::truth::{EventTruth, Truth};

use super::process::{Program, hidden};
use crate::ledger::Ledger;

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

/// Allocates `mib` MiB, one MiB at a time, and writes to every page.
fn allocate(mib: usize) -> Vec<Vec<u8>> {
    (0..mib)
        .map(|_| {
            let mut piece = vec![0; MIB];
            for byte in piece.iter_mut().step_by(PAGE) {
                *byte = 1;
            }
            std::hint::black_box(piece)
        })
        .collect()
}

/// Runs a child that holds `mib` MiB for `ms` milliseconds.
pub(crate) fn hold(mib: usize, ms: u64) -> Result<Truth> {
    let mut ledger = Ledger::new("memory");
    let (mib, ms) = (mib.to_string(), ms.to_string());
    let args = hidden(&["hold-here", "--mib", &mib, "--ms", &ms]);
    Program::this()?.run(&mut ledger, args)?;
    Ok(ledger.close())
}

/// Runs `processes` children that hold `mib` MiB together with this process: one mapping.
pub(crate) fn share(mib: usize, processes: u32, ms: u64) -> Result<Truth> {
    let mut ledger = Ledger::new("shared");
    let length = mib * MIB;
    let mapping = crate::sys::shared_memory(length)?;
    crate::sys::touch(mapping, length);
    let mut children = Vec::new();
    for _ in 0..processes {
        match crate::sys::fork()? {
            Some(pid) => children.push(pid),
            None => {
                crate::sys::touch(mapping, length);
                sleep(Duration::from_millis(ms));
                crate::sys::exit(0);
            }
        }
    }
    for pid in children {
        let ended = crate::sys::wait(pid)?;
        ledger.ended(pid, std::env::args().collect(), ended);
    }
    Ok(ledger.close())
}

/// The work of the child.
pub(crate) fn hold_here(mib: usize, ms: u64) {
    let held = allocate(mib);
    sleep(Duration::from_millis(ms));
    drop(held);
}

/// Runs a child that allocates memory until the kernel kills it. It stops at `max_mib` MiB, which
/// protects a host without a limit.
pub(crate) fn exhaust(max_mib: usize) -> Result<Truth> {
    let mut ledger = Ledger::new("out-of-memory");
    let max_mib = max_mib.to_string();
    let args = hidden(&["hold-here", "--mib", &max_mib, "--ms", "0"]);
    let program = Program::this()?;
    let pid = program.start(&args)?;
    let ended = crate::sys::wait(pid)?;
    if ended.signal == Some(9) {
        ledger.event(EventTruth::OutOfMemory { pid });
    }
    ledger.ended(pid, args, ended);
    Ok(ledger.close())
}
