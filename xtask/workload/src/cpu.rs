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

/// Uses `ns` of CPU and hardly more, in one long stretch.
///
/// How many turns that is, is found in the first hundredth of it; then there is nothing but
/// turning, so that for the kernel the task is one that never yields. Where the machine got faster
/// meanwhile (by emulation it does), shorter stretches follow. What was really used is for the
/// parent to ask (`wait4`).
pub(crate) fn burn(ns: u64) -> io::Result<()> {
    let before = sys::cpu_ns()?;
    let used = || Ok::<u64, io::Error>(sys::cpu_ns()?.saturating_sub(before));
    let mut turns = 1_000;
    let mut done = 0;
    while used()? < ns / 100 {
        spin(turns);
        done += turns;
        turns *= 2;
    }
    loop {
        let so_far = used()?;
        // The last thousandth is not worth a stretch of its own.
        let left = ns.saturating_sub(so_far);
        if left <= ns / 1000 {
            return Ok(());
        }
        let turns = u128::from(left) * u128::from(done) / u128::from(so_far.max(1));
        let turns = u64::try_from(turns).unwrap_or(u64::MAX).max(1_000);
        spin(turns);
        done = done.saturating_add(turns);
    }
}

/// Spins for about `us` microseconds on the clock, which the vDSO reads without a system call
/// (where the kernel's clock source allows it).
pub(crate) fn spin_for(us: u64) {
    let start = Instant::now();
    while (start.elapsed().as_micros() as u64) < us {
        spin(1_000);
    }
}
