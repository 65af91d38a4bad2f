//! Reads a cgroup's own count of CPU time until the cgroup's end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

/// Reads the count from `cpu.stat` (v2) or `cpuacct.usage` (v1), ns.
pub(super) fn read(file: &PathBuf) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    match text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))
    {
        Some(us) => us.trim().parse::<u64>().ok().map(|us| us * 1000),
        None => text.trim().parse().ok(),
    }
}

/// A thread that reads the count all the time, as the cgroup may vanish with its last process.
#[derive(Debug)]
pub(super) struct Follower {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Option<u64>>,
}

impl Follower {
    /// Follows the first of `files` that exists. Their paths depend on the version of cgroups.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = spawn(move || {
            let mut last = None;
            while !stopped.load(Ordering::Relaxed) {
                last = files.iter().find_map(read).or(last);
                sleep(Duration::from_millis(2));
            }
            last
        });
        Self { stop, thread }
    }

    /// Stops, and returns the last count.
    pub(super) fn end(self) -> Option<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().flatten()
    }
}
