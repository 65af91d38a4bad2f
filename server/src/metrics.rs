//! The server's own figures, in the format of Prometheus.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::rollup::due::Backlog;

/// Counters that the whole server shares.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Segments that were new.
    pub segments_stored: Counter,
    /// Segments that were known.
    pub segments_known: Counter,
    /// Segments that were refused.
    pub segments_refused: Counter,
    /// Rows of legacy posts that could not be used.
    pub rows_refused: Counter,
    /// Container-seconds in segments that were new.
    pub container_seconds: Counter,
    /// Bytes of bodies posted.
    pub batch_bytes: Counter,
    /// Live streams that are open.
    pub live_streams: Gauge,
    packed: Counter,
    pack_failed: Counter,
    rollup_holder: Gauge,
    rollup_fence: Gauge,
    rollup_waiting: Gauge,
    rollup_lag: Gauge,
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
        let metrics = Self {
            registry: Registry::with_prefix("bubble_server"),
            segments_stored: Counter::default(),
            segments_known: Counter::default(),
            segments_refused: Counter::default(),
            rows_refused: Counter::default(),
            container_seconds: Counter::default(),
            batch_bytes: Counter::default(),
            live_streams: Gauge::default(),
            packed: Counter::default(),
            pack_failed: Counter::default(),
            rollup_holder: Gauge::default(),
            rollup_fence: Gauge::default(),
            rollup_waiting: Gauge::default(),
            rollup_lag: Gauge::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
            }),
            up_since: Gauge::default(),
        };
        metrics.up_since.set(crate::clock::now_ns() as f64 / 1e9);
        metrics.registered()
    }
}

impl Metrics {
    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
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
            ("rollup_packed", "Spans packed", &self.packed),
            (
                "rollup_failed",
                "Spans that could not be packed",
                &self.pack_failed,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let gauges = [
            (
                "rollup_holder",
                "1 if this server has the lease of roll-up",
                &self.rollup_holder,
            ),
            (
                "rollup_lease",
                "How often the lease of roll-up had changed hands when this server had it",
                &self.rollup_fence,
            ),
            (
                "rollup_waiting",
                "Spans that are due to be packed, as the holder of the lease sees it",
                &self.rollup_waiting,
            ),
            (
                "live_streams",
                "Live streams that are open",
                &self.live_streams,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register_with_unit(
            "rollup_lag",
            "For how long the oldest of the spans that wait is due",
            Unit::Seconds,
            self.rollup_lag.clone(),
        );
        registry.register_with_unit(
            "batch",
            "Bytes of bodies posted",
            Unit::Bytes,
            self.batch_bytes.clone(),
        );
        registry.register("requests", "Requests answered", self.requests.clone());
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
        self
    }

    /// Counts what a run of the roll-up did.
    pub fn packed(&self, packed: u64, failed: u64) {
        self.packed.inc_by(packed);
        self.pack_failed.inc_by(failed);
    }

    /// Notes the number of the lease of roll-up, if this server has it.
    pub fn lease(&self, fence: Option<u64>) {
        self.rollup_holder.set(fence.is_some().into());
        match fence {
            Some(fence) => drop(self.rollup_fence.set(fence.cast_signed())),
            None => self.backlog(Backlog::default()),
        }
    }

    /// Notes what waits to be packed.
    pub fn backlog(&self, backlog: Backlog) {
        self.rollup_waiting.set(backlog.spans.cast_signed());
        self.rollup_lag.set(backlog.lag.cast_signed());
    }

    /// Counts a request. `route` is the pattern, never the path: that may hold anything.
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

    /// All of them as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
