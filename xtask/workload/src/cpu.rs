//! Uses CPU time without system calls.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use crate::sys;

/// Loops `turns` times. Makes no system call, never yields, and uses only a register.
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

/// Uses `ns` of CPU time and hardly more, in one long loop.
///
/// The first hundredth of the time measures the speed. Then the loop runs without a system call, as
/// a task that never yields. If the machine became faster meanwhile (emulated ones do), shorter loops
/// follow. The parent reads the exact CPU time by `wait4`.
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
        // A thousandth is precise enough.
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

/// Spins for about `us` microseconds of time. The vDSO reads the clock without a system call, if the
/// kernel's clock source allows it.
pub(crate) fn spin_for(us: u64) {
    let start = Instant::now();
    while (start.elapsed().as_micros() as u64) < us {
        spin(1_000);
    }
}

/// Uses a core in each of `threads` threads, without end.
pub(crate) fn spin_in_threads(threads: usize) -> ! {
    for _ in 1..threads {
        std::thread::spawn(|| spin(u64::MAX));
    }
    loop {
        spin(u64::MAX);
    }
}
