//! Numbers of a report.

use super::super::asked::Asked;
use super::super::form::{Amount, NetworkSums};
use crate::segment::network::NetworkIo;
use crate::segment::wait::UNIT;

/// To two digits after the point.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
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
    /// What is left of these sums without `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        let left = u64::saturating_sub;
        Self {
            received_bytes: left(self.received_bytes, other.received_bytes),
            sent_bytes: left(self.sent_bytes, other.sent_bytes),
            receives: left(self.receives, other.receives),
            sends: left(self.sends, other.sends),
            connects: left(self.connects, other.connects),
            failures: left(self.failures, other.failures),
            waited_ns: left(self.waited_ns, other.waited_ns),
        }
    }
}

/// What somebody asked for, or Slurm; or the `limit`.
pub(super) fn had(told: Option<f64>, asked: &Asked, limit: Option<f64>) -> Option<Amount> {
    let source = if asked.is_from_slurm {
        "slurm"
    } else {
        "asked"
    };
    let amount = |value: f64, source: &str| Amount {
        value,
        source: source.to_owned(),
    };
    let told = told.map(|value| amount(value, source));
    told.or_else(|| limit.map(|value| amount(value, "limit")))
}
