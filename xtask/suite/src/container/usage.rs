//! Reads a cgroup's own count of CPU time until the cgroup's end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// Oldest last count of a cgroup that has ended.
const MAX_AGE: Duration = Duration::from_millis(10);

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
            let mut last: Option<(u64, Instant)> = None;
            while !stopped.load(Ordering::Relaxed) {
                let at = Instant::now();
                match (files.iter().find_map(read), last) {
                    (Some(ns), _) => last = Some((ns, at)),
                    // It had no core before the end, and the last count it saw is too old.
                    (None, Some((_, then))) if at - then > MAX_AGE => return None,
                    (None, Some(_)) => break,
                    (None, None) => {}
                }
                sleep(Duration::from_millis(2));
            }
            last.map(|(ns, _)| ns)
        });
        Self { stop, thread }
    }

    /// Stops, and returns the last count; `None` if there is none, or none from the end of the cgroup.
    pub(super) fn end(self) -> Option<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().flatten()
    }
}
