//! Memory: held for a while by a child, or asked for until the kernel kills that child.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use bubble_workload::truth::{EventTruth, Truth};

use super::process::{Program, hidden};
use crate::ledger::Ledger;

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;

/// Takes `mib` MiB, a MiB at a time, writing to every page.
fn take(mib: usize) -> Vec<Vec<u8>> {
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

/// What the child does: takes and waits.
pub(crate) fn hold_here(mib: usize, ms: u64) {
    let held = take(mib);
    sleep(Duration::from_millis(ms));
    drop(held);
}

/// Runs a child that takes memory until it is killed, or until it has `at_most_mib` MiB, which
/// keeps a host safe where no limit is set.
pub(crate) fn exhaust(at_most_mib: usize) -> Result<Truth> {
    let mut ledger = Ledger::new("out-of-memory");
    let at_most = at_most_mib.to_string();
    let args = hidden(&["hold-here", "--mib", &at_most, "--ms", "0"]);
    let program = Program::this()?;
    let pid = program.start(&args)?;
    let ended = crate::sys::wait(pid)?;
    if ended.signal == Some(9) {
        ledger.event(EventTruth::OutOfMemory { pid });
    }
    ledger.ended(pid, args, ended);
    Ok(ledger.close())
}
