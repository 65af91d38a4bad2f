//! The agent's own metrics, for Prometheus.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::routing::get;
use bubble_common::batch::AgentReport;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Media type of the text, which Prometheus asks for by default.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The newest report, the number of containers, and what became of posts; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Figures>);

#[derive(Debug, Default)]
struct Figures {
    report: Mutex<(AgentReport, usize)>,
    failed_posts: AtomicU64,
    refused_seconds: AtomicU64,
}

impl Metrics {
    /// Replaces the figures.
    pub fn set(&self, report: &AgentReport, containers: usize) {
        let mut newest = self.0.report.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = (report.clone(), containers);
    }

    /// Counts a post without a receipt.
    pub fn add_failed_post(&self) {
        self.0.failed_posts.fetch_add(1, Relaxed);
    }

    /// Number of posts without a receipt.
    pub fn failed_posts(&self) -> u64 {
        self.0.failed_posts.load(Relaxed)
    }

    /// Number of seconds of containers that the server refused for good.
    pub fn refused_seconds(&self) -> u64 {
        self.0.refused_seconds.load(Relaxed)
    }

    /// Counts seconds of containers that the server refused for good.
    pub fn add_refused_seconds(&self, seconds: u64) {
        self.0.refused_seconds.fetch_add(seconds, Relaxed);
    }

    /// Renders the figures in the text format of OpenMetrics.
    fn render(&self) -> String {
        let mut registry = Registry::with_prefix("bubble_agent");
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &registry);
        text
    }

    /// Serves the metrics at `address`, for as long as the runtime lives.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(self, address: SocketAddr) -> Result<()> {
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| {
                format!("cannot serve metrics at {address}: choose another with --metrics-listen")
            })?;
        let app = Router::new().route(
            "/metrics",
            get(async move || ([("content-type", OPENMETRICS)], self.render())),
        );
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!("metrics are no longer served: {error}");
            }
        });
        Ok(())
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (report, containers) = self
            .0
            .report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let seconds = |ns: u64| ConstCounter::new(ns as f64 / 1e9);
        let metrics: [(&str, &str, &dyn EncodeMetric); 8] = [
            (
                "cpu_seconds",
                "CPU time of the agent.",
                &seconds(report.cpu_ns),
            ),
            (
                "kernel_seconds",
                "Time that its programs in the kernel ran; 0 where the kernel does not measure it.",
                &seconds(report.kernel_ns),
            ),
            (
                "resident_bytes",
                "Memory of the agent.",
                &ConstGauge::new(report.rss),
            ),
            (
                "containers",
                "Containers that run now.",
                &ConstGauge::new(containers),
            ),
            (
                "spooled_segments",
                "Segments that wait to be sent for longer than an interval of delivery.",
                &ConstGauge::new(report.spooled),
            ),
            (
                "dropped_slots",
                "Slots dropped because the spool was full or damaged.",
                &ConstCounter::new(report.dropped),
            ),
            (
                "failed_posts",
                "Posts without a receipt. Their batches wait in the spool.",
                &ConstCounter::new(self.failed_posts()),
            ),
            (
                "refused_seconds",
                "Seconds of containers that the server refused for good.",
                &ConstCounter::new(self.refused_seconds()),
            ),
        ];
        for (name, help, metric) in metrics {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let info = ConstGauge::new(1_u64);
        let help = "Version of the agent, family of hooks, and version of the kernel.";
        let mut family = encoder.encode_descriptor("info", help, None, info.metric_type())?;
        let labels = [
            ("version", report.version),
            ("hooks", report.hooks),
            ("kernel", report.kernel),
        ];
        info.encode(family.encode_family(&labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use crate::report::host;

    /// Names, types and labels are an interface: dashboards and alerts use them.
    #[test]
    fn names_types_and_labels_stay() {
        let metrics = Metrics::default();
        let mut report = host("node7", "vfs", &[]);
        report.kernel = "6.12".to_owned();
        report.version = "1.0".to_owned();
        report.cpu_ns = 1_500_000_000;
        report.rss = 7;
        report.spooled = 17;
        report.dropped = 2;
        metrics.set(&report, 3);
        metrics.add_failed_post();
        metrics.add_refused_seconds(5);
        let text = metrics.render();
        let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with("# HELP")).collect();
        let expected = [
            "# TYPE bubble_agent_cpu_seconds counter",
            "bubble_agent_cpu_seconds_total 1.5",
            "# TYPE bubble_agent_kernel_seconds counter",
            "bubble_agent_kernel_seconds_total 0.0",
            "# TYPE bubble_agent_resident_bytes gauge",
            "bubble_agent_resident_bytes 7",
            "# TYPE bubble_agent_containers gauge",
            "bubble_agent_containers 3",
            "# TYPE bubble_agent_spooled_segments gauge",
            "bubble_agent_spooled_segments 17",
            "# TYPE bubble_agent_dropped_slots counter",
            "bubble_agent_dropped_slots_total 2",
            "# TYPE bubble_agent_failed_posts counter",
            "bubble_agent_failed_posts_total 1",
            "# TYPE bubble_agent_refused_seconds counter",
            "bubble_agent_refused_seconds_total 5",
            "# TYPE bubble_agent_info gauge",
            "bubble_agent_info{version=\"1.0\",hooks=\"vfs\",kernel=\"6.12\"} 1",
            "# EOF",
        ];
        assert_eq!(lines, expected);
    }
}
