//! Using CPU without asking the kernel for anything.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use crate::sys;

/// Goes round `turns` times. No system call, no yield, no memory beyond a register.
fn spin(turns: u64) {
    let mut value: u64 = 1;
    for turn in 0..turns {
        value = black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(turn),
        );
    }
    black_box(value);
}

/// Uses about `ns` of CPU in one stretch.
///
/// How many turns that is, is found in the first hundredth of it; then there is nothing but
/// turning, so that for the kernel the task is one that never yields. What was really used is for
/// the parent to ask (`wait4`).
pub(crate) fn burn(ns: u64) -> io::Result<()> {
    let before = sys::cpu_ns()?;
    let mut turns = 1_000;
    let mut probed = 0;
    let mut used = 0;
    while used < ns / 100 {
        spin(turns);
        probed += turns;
        turns *= 2;
        used = sys::cpu_ns()?.saturating_sub(before);
    }
    let rest = ns.saturating_sub(used) as u128 * u128::from(probed) / u128::from(used.max(1));
    spin(u64::try_from(rest).unwrap_or(u64::MAX));
    Ok(())
}

/// Spins for about `us` microseconds on the clock, which the vDSO reads without a system call
/// (where the kernel's clock source allows it).
pub(crate) fn spin_for(us: u64) {
    let start = Instant::now();
    while (start.elapsed().as_micros() as u64) < us {
        spin(1_000);
    }
}
