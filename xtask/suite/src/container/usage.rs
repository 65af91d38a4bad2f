//! A cgroup's own count of its CPU, followed to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

/// Reads the count now: `cpu.stat` of v2 or `cpuacct.usage` of v1, ns.
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

/// Reads on and on, in a thread: the cgroup may be gone the moment its last process is.
#[derive(Debug)]
pub(super) struct Follow {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Option<u64>>,
}

impl Follow {
    /// Follows the first of `files` that there is (the other places are of other set-ups).
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

    /// The last count that was read.
    pub(super) fn end(self) -> Option<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().flatten()
    }
}
