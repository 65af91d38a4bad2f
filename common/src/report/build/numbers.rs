//! Numbers of a report.

use super::super::form::{Amount, NetworkSums};
use super::super::tally::{Container, Peak};
use crate::segment::facts;
use crate::segment::network::NetworkIo;
use crate::segment::total::Metric;
use crate::segment::wait::UNIT;

/// To two digits after the point.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Whether processes were sampled, and not counted.
pub(super) fn is_sampled(sums: &Container) -> bool {
    let hooks = sums.facts.get(facts::HOOKS);
    hooks.is_some_and(|hooks| hooks == "procfs")
}

/// When a peak was reached; `None` if there was none.
pub(super) fn at(peak: Peak) -> Option<f64> {
    (peak.value > 0).then_some(peak.at as f64)
}

/// To three digits after the point.
pub(super) fn thousandths(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// The cgroup whose limit counts, as many levels above the container's own as `level` says. Empty if it is
/// above all that the agent sees; `None` if it is the container's own.
pub(super) fn limit_cgroup(sums: &Container, level: Metric) -> Option<String> {
    let levels = sums.total(level).filter(|levels| *levels > 0)?;
    let own = sums.facts.get(facts::CGROUP).map_or("", String::as_str);
    let parts: Vec<&str> = own.split('/').filter(|part| !part.is_empty()).collect();
    match usize::try_from(levels).ok().filter(|it| *it <= parts.len()) {
        Some(levels) => Some(format!("/{}", parts[..parts.len() - levels].join("/"))),
        None => Some(String::new()),
    }
}

/// The sums of `io`.
pub(super) fn network_sums(io: NetworkIo) -> NetworkSums {
    NetworkSums {
        received_bytes: io.bytes_in,
        sent_bytes: io.bytes_out,
        receives: io.ops_in,
        sends: io.ops_out,
        connects: io.connects,
        failures: io.failures,
        waited_ns: io.waited.saturating_mul(UNIT),
    }
}

impl NetworkSums {
    /// These sums and those of `other`.
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What is left of these sums without `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn with(&self, other: &Self, both: fn(u64, u64) -> u64) -> Self {
        Self {
            received_bytes: both(self.received_bytes, other.received_bytes),
            sent_bytes: both(self.sent_bytes, other.sent_bytes),
            receives: both(self.receives, other.receives),
            sends: both(self.sends, other.sends),
            connects: both(self.connects, other.connects),
            failures: both(self.failures, other.failures),
            waited_ns: both(self.waited_ns, other.waited_ns),
        }
    }
}

/// What somebody asked for, or Slurm; or what was `allowed`.
pub(super) fn had(
    asked: Option<f64>,
    slurm: Option<f64>,
    allowed: Option<Amount>,
) -> Option<Amount> {
    let asked = asked.map(|value| Amount::of(value, "asked"));
    let slurm = || slurm.map(|value| Amount::of(value, "slurm"));
    asked.or_else(slurm).or(allowed)
}

impl Amount {
    /// An amount that is known from `source`.
    pub(super) fn of(value: f64, source: &str) -> Self {
        Self {
            value,
            source: source.to_owned(),
            cgroup: None,
        }
    }
}
