//! What the agent reports of itself with each batch.

use bubble_common::batch::AgentReport;
use rustix::param::page_size;
use rustix::time::ClockId;

use crate::clock;
use crate::container::totals::count_cores;

/// The part of the report that does not change while the agent runs.
pub fn host(name: &str, hooks: &str, missing: &[String]) -> AgentReport {
    AgentReport {
        host: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .map(|release| release.trim().to_owned())
            .unwrap_or_default(),
        hooks: hooks.to_owned(),
        missing: missing.to_vec(),
        cores: cores(),
        memory: memory().unwrap_or(0),
        ..AgentReport::default()
    }
}

/// Cores of the host that are online, whatever of them the agent itself may use.
fn cores() -> u32 {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online").ok();
    let online = list.as_deref().and_then(count_cores);
    let online = online.and_then(|cores| u32::try_from(cores).ok());
    // Without /sys, those that the agent may use are a lower bound.
    online.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(0, |cores| cores.get() as u32)
    })
}

/// CPU time of this process, ns.
pub fn cpu_ns() -> u64 {
    clock::read(ClockId::ProcessCPUTime)
}

/// Resident memory of this process, bytes.
pub fn rss() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * page_size() as u64
}

/// Memory of the host, bytes.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()?
        .checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::{cpu_ns, host, rss};

    #[test]
    fn the_host_is_described() {
        let report = host("node7", "syscall", &["no oom kills".to_owned()]);
        assert!(report.cores > 0 && report.memory > 1 << 20 && !report.kernel.is_empty());
        assert!(rss() > 0 && cpu_ns() > 0);
    }
}
