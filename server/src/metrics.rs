//! The server's own metrics, in the Prometheus text format.
//!
//! Whoever knows a figure sets it; this file imports no stage.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::clock;

/// Damaged rows that were read. Of the whole process, because rows are decoded below all that has a
/// [`Metrics`].
static ROWS_DAMAGED: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Counts a damaged row, each time that it is read.
pub fn count_damaged_row() {
    ROWS_DAMAGED.inc();
}

/// Metrics of the whole server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Segments that were new.
    pub segments_stored: Counter,
    /// Segments that were stored before.
    pub segments_known: Counter,
    /// Segments that were refused.
    pub segments_refused: Counter,
    /// Rows of legacy posts that could not be used.
    pub rows_refused: Counter,
    /// Container-seconds in segments that were new.
    pub container_seconds: Counter,
    /// Bytes of posted bodies.
    pub batch_bytes: Counter,
    /// Open live streams.
    pub live_streams: Gauge,
    /// Hosts on which more than one agent counts.
    pub hosts_counted_twice: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that were closed while they waited, to make place for others.
    pub connections_evicted: Counter,
    /// Connections that found no place.
    pub connections_refused: Counter,
    /// Spans packed.
    pub rollup_packed: Counter,
    /// Spans that could not be packed.
    pub rollup_failed: Counter,
    /// 1 while this server holds the lease of roll-up.
    pub rollup_holder: Gauge,
    /// Fence of the latest lease that this server held.
    pub rollup_fence: Gauge,
    /// Spans that are due to be packed; 0 without the lease.
    pub rollup_waiting: Gauge,
    /// 1 while the clock is ahead of what was expected, so that rows do not expire by it.
    pub clock_suspect: Gauge,
    /// For how long the oldest of them has been due, in seconds.
    pub rollup_lag: Gauge,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    up_since: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("bubble_server"),
            segments_stored: Counter::default(),
            segments_known: Counter::default(),
            segments_refused: Counter::default(),
            rows_refused: Counter::default(),
            container_seconds: Counter::default(),
            batch_bytes: Counter::default(),
            live_streams: Gauge::default(),
            hosts_counted_twice: Gauge::default(),
            connections: Gauge::default(),
            connections_evicted: Counter::default(),
            connections_refused: Counter::default(),
            rollup_packed: Counter::default(),
            rollup_failed: Counter::default(),
            rollup_holder: Gauge::default(),
            rollup_fence: Gauge::default(),
            rollup_waiting: Gauge::default(),
            rollup_lag: Gauge::default(),
            clock_suspect: Gauge::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
            }),
            up_since: Gauge::default(),
        };
        metrics.up_since.set(clock::now_ns() as f64 / 1e9);
        metrics.register_counters();
        metrics.register_gauges();
        metrics.register_with_units();
        metrics
    }
}

impl Metrics {
    fn register_counters(&mut self) {
        let counters = [
            (
                "segments_stored",
                "Segments that were new",
                &self.segments_stored,
            ),
            (
                "segments_known",
                "Segments that were stored before",
                &self.segments_known,
            ),
            (
                "segments_refused",
                "Segments that were refused",
                &self.segments_refused,
            ),
            (
                "event_rows_refused",
                "Rows of legacy posts that could not be used",
                &self.rows_refused,
            ),
            (
                "container_seconds",
                "Container-seconds in the segments that were new",
                &self.container_seconds,
            ),
            (
                "connections_evicted",
                "Connections that were closed while they waited, to make place for others",
                &self.connections_evicted,
            ),
            (
                "connections_refused",
                "Connections that found no place",
                &self.connections_refused,
            ),
            ("rollup_packed", "Spans packed", &self.rollup_packed),
            (
                "rollup_failed",
                "Spans that could not be packed",
                &self.rollup_failed,
            ),
            (
                "rows_damaged",
                "Damaged rows that were read from the store and left out, each time that they were read",
                &ROWS_DAMAGED,
            ),
        ];
        for (name, help, counter) in counters {
            self.registry.register(name, help, counter.clone());
        }
        let requests = self.requests.clone();
        self.registry
            .register("requests", "Requests answered", requests);
    }

    fn register_gauges(&mut self) {
        let gauges = [
            (
                "rollup_holder",
                "1 if this server holds the lease of roll-up",
                &self.rollup_holder,
            ),
            (
                "rollup_lease",
                "How often the lease of roll-up had changed hands when this server last held it",
                &self.rollup_fence,
            ),
            (
                "rollup_waiting",
                "Spans that are due to be packed, as the holder of the lease sees it",
                &self.rollup_waiting,
            ),
            (
                "clock_suspect",
                "1 if the clock has jumped ahead, and rows do not expire by it",
                &self.clock_suspect,
            ),
            ("live_streams", "Open live streams", &self.live_streams),
            (
                "hosts_counted_twice",
                "Hosts on which more than one agent counts",
                &self.hosts_counted_twice,
            ),
            ("connections", "Open connections", &self.connections),
        ];
        for (name, help, gauge) in gauges {
            self.registry.register(name, help, gauge.clone());
        }
    }

    fn register_with_units(&mut self) {
        let registry = &mut self.registry;
        registry.register_with_unit(
            "rollup_lag",
            "For how long the oldest waiting span has been due",
            Unit::Seconds,
            self.rollup_lag.clone(),
        );
        registry.register_with_unit(
            "batch",
            "Bytes of posted bodies",
            Unit::Bytes,
            self.batch_bytes.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time until the head of the answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "start_time",
            "When the server started, since the Unix epoch",
            Unit::Seconds,
            self.up_since.clone(),
        );
    }

    /// Counts a request. `route` is the pattern, never the path, which a client chooses.
    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.requests
            .get_or_create(&RequestLabels {
                route: route.to_owned(),
                method: method.to_owned(),
                status,
            })
            .inc();
        self.durations
            .get_or_create(&RouteLabels {
                route: route.to_owned(),
            })
            .observe(took.as_secs_f64());
    }

    /// All metrics as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
