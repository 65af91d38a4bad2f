//! What the agent says of itself: in each batch, and on its own `/metrics`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::routing::get;
use bubble_common::batch::AgentReport;

use crate::source::ebpf::memory::page_size;

/// The part that does not change while the agent runs.
pub fn host(name: &str, hooks: &str, missing: &[String]) -> AgentReport {
    AgentReport {
        host: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .map(|release| release.trim().to_owned())
            .unwrap_or_default(),
        hooks: hooks.to_owned(),
        missing: missing.to_vec(),
        cores: std::thread::available_parallelism().map_or(0, |cores| cores.get() as u32),
        memory: memory().unwrap_or(0),
        ..AgentReport::default()
    }
}

/// CPU time that this process used, ns.
pub fn cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writes, and the clock's id is one of the kernel's own.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } != 0;
    if failed {
        0
    } else {
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

/// Resident memory of this process, bytes.
pub fn rss() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * page_size()
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

/// The newest report, for whoever asks.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<(AgentReport, usize)>>);

impl Shared {
    /// Replaces it, with the number of containers.
    pub fn set(&self, report: &AgentReport, containers: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (report.clone(), containers);
    }

    /// In Prometheus' text format.
    fn metrics(&self) -> String {
        let (report, containers) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, value: f64| {
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "# HELP bubble_agent_{name} {help}\n# TYPE bubble_agent_{name} {kind}\nbubble_agent_{name} {value}"
            );
        };
        let seconds = |ns: u64| ns as f64 / 1e9;
        metric(
            "cpu_seconds_total",
            "counter",
            "CPU time of the agent.",
            seconds(report.cpu_ns),
        );
        metric(
            "kernel_seconds_total",
            "counter",
            "Time that its programs in the kernel ran; 0 where the kernel does not say.",
            seconds(report.kernel_ns),
        );
        metric(
            "resident_bytes",
            "gauge",
            "Memory of the agent.",
            report.rss as f64,
        );
        metric(
            "containers",
            "gauge",
            "Containers that run now.",
            containers as f64,
        );
        metric(
            "spooled_segments",
            "gauge",
            "Segments that wait to be sent.",
            report.spooled as f64,
        );
        metric(
            "dropped_slots_total",
            "counter",
            "Slots dropped, as the spool was full.",
            report.dropped as f64,
        );
        // Label values are quoted as Prometheus wants it, which is as Rust does for these.
        let _ = writeln!(
            text,
            "# HELP bubble_agent_info The agent's version and family of hooks.\n# TYPE bubble_agent_info gauge\nbubble_agent_info{{version={:?},hooks={:?},kernel={:?}}} 1",
            report.version, report.hooks, report.kernel
        );
        text
    }

    /// Serves them at `address`, for as long as the runtime lives.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub async fn serve(self, address: SocketAddr) -> Result<()> {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| {
                format!("cannot serve metrics at {address}: choose another with --metrics-listen")
            })?;
        let app = Router::new().route(
            "/metrics",
            get(move || {
                let text = self.metrics();
                async move { ([("content-type", "text/plain; version=0.0.4")], text) }
            }),
        );
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!("metrics are not served any more: {error}");
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Shared, cpu_ns, host, rss};

    #[test]
    fn the_host_is_described() {
        let report = host("node7", "syscall", &["no oom kills".to_owned()]);
        assert!(report.cores > 0 && report.memory > 1 << 20 && !report.kernel.is_empty());
        assert!(rss() > 0 && cpu_ns() > 0);
    }

    #[test]
    fn metrics_carry_the_numbers() {
        let shared = Shared::default();
        let mut report = host("node7", "vfs", &[]);
        report.spooled = 17;
        shared.set(&report, 3);
        let text = shared.metrics();
        assert!(
            text.contains("bubble_agent_spooled_segments 17\n"),
            "{text}"
        );
        assert!(text.contains("bubble_agent_containers 3\n"), "{text}");
        assert!(text.contains("hooks=\"vfs\""), "{text}");
    }
}
