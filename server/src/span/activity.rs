//! Activity: what a segment adds to the index of containers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bubble_common::segment::network::Address;
use bubble_common::segment::total::Metric;
use bubble_common::segment::{Facts, Segment, facts};

/// What a segment adds to the index of containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// Start of the first slot that is not a gap, seconds since the Unix epoch.
    pub first: u64,
    /// End of the last slot that is not a gap, exclusive.
    pub last: u64,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Highest memory in use, bytes: the kernel's own peak, where it has one. `None` if it was not
    /// measured.
    pub memory_peak: Option<u64>,
    /// Memory in use in the last slot, bytes.
    pub memory_now: Option<u64>,
    /// Memory limit, bytes.
    pub memory_limit: Option<u64>,
    /// Bytes read from files and received.
    pub bytes_in: u64,
    /// Bytes written to files and sent.
    pub bytes_out: u64,
    /// CPU time by slot, of slots that are not gaps: (start, length in seconds, ns).
    pub cpu: Vec<(u64, u64, u64)>,
    /// Facts of the segment, and the addresses of its sockets.
    pub facts: Facts,
}

/// The part of an [`Activity`] that adds up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Bytes read from files and received.
    pub bytes_in: u64,
    /// Bytes written to files and sent.
    pub bytes_out: u64,
}

impl Sums {
    /// Their sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
        }
    }

    /// These without `others`.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(others.cpu_ns),
            bytes_in: self.bytes_in.saturating_sub(others.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(others.bytes_out),
        }
    }
}

/// A change of sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// What it adds.
    pub added: Sums,
    /// What it takes away.
    pub withdrawn: Sums,
}

impl Change {
    /// The change from `before` to `after`.
    pub fn between(before: Sums, after: Sums) -> Self {
        Self {
            added: after.without(before),
            withdrawn: before.without(after),
        }
    }
}

impl Activity {
    /// Its sums.
    pub fn sums(&self) -> Sums {
        Sums {
            cpu_ns: self.cpu_ns,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        }
    }

    /// The same with other sums.
    #[must_use]
    pub fn with_sums(self, sums: Sums) -> Self {
        Self {
            cpu_ns: sums.cpu_ns,
            bytes_in: sums.bytes_in,
            bytes_out: sums.bytes_out,
            ..self
        }
    }
}

/// Longest name and longest value of a fact, in bytes, and most facts of a segment. Docker's labels are
/// at most 1,024 bytes, and 64 of them.
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 4_096;
const MAX_FACTS: usize = 128;
/// Addresses of a segment that the index takes. A container has one per network and family.
const MAX_ADDRESSES: usize = 8;

/// The facts that the index takes: longer values are cut, and end with `…`. Labels come last, so that
/// they do not displace the others.
fn bounded(all: &Facts) -> Facts {
    let (labels, others): (Vec<_>, Vec<_>) = all
        .iter()
        .partition(|(name, _)| name.starts_with(facts::LABEL));
    let is_posted = |(name, _): &(&String, &String)| !name.starts_with(facts::ADDRESS);
    let fits = others.into_iter().filter(is_posted).chain(labels);
    let fits = fits.filter(|(name, _)| name.len() <= MAX_NAME);
    let cut = |value: &str| match value.len() <= MAX_VALUE {
        true => value.to_owned(),
        false => format!("{}…", &value[..value.floor_char_boundary(MAX_VALUE)]),
    };
    fits.take(MAX_FACTS)
        .map(|(name, value)| (name.clone(), cut(value)))
        .collect()
}

/// The IP addresses of its sockets, as facts.
fn addresses(segment: &Segment) -> impl Iterator<Item = (String, String)> {
    let local = segment.connections.iter().map(|each| &each.local);
    let own: BTreeSet<IpAddr> = local
        .filter_map(|local| match local {
            Address::Ip(ip, _) if !ip.is_unspecified() && !ip.is_multicast() => Some(*ip),
            _ => None,
        })
        .collect();
    let own = own.into_iter().take(MAX_ADDRESSES);
    own.map(|ip| (format!("{}{ip}", facts::ADDRESS), String::new()))
}

/// Computes the activity of a segment.
pub fn activity(segment: &Segment) -> Activity {
    let length = segment.key.resolution.seconds();
    let start_of = |slot: usize| segment.key.start + slot as u64 * length;
    let is_covered = |coverage: &bubble_common::segment::Coverage| !coverage.is_gap();
    let mut activity = Activity {
        facts: bounded(&segment.facts),
        ..Activity::default()
    };
    activity.facts.extend(addresses(segment));
    let first = segment.coverage.iter().position(is_covered);
    let last = segment.coverage.iter().rposition(is_covered);
    if let (Some(first), Some(last)) = (first, last) {
        activity.first = start_of(first);
        activity.last = start_of(last + 1);
    } else {
        // Only facts: they hold as of the end of the span.
        activity.last = segment.end();
        activity.first = activity.last;
    }

    add_cpu(&mut activity, segment);
    for cell in &segment.file_io {
        add(&mut activity.bytes_in, cell.value.bytes_in);
        add(&mut activity.bytes_out, cell.value.bytes_out);
    }
    for cell in &segment.network_io {
        add(&mut activity.bytes_in, cell.value.bytes_in);
        add(&mut activity.bytes_out, cell.value.bytes_out);
    }
    add_memory(&mut activity, segment);
    activity
}

fn add_cpu(activity: &mut Activity, segment: &Segment) {
    let length = segment.key.resolution.seconds();
    let mut cpu = vec![0_u64; segment.coverage.len()];
    for cell in &segment.cpu {
        add(&mut cpu[cell.slot as usize], cell.value.ns);
    }
    activity.cpu_ns = cpu.iter().fold(0, |sum, ns| sum.saturating_add(*ns));
    activity.cpu = (0..)
        .zip(&segment.coverage)
        .zip(cpu)
        .filter(|((_, coverage), _)| !coverage.is_gap())
        .map(|((slot, _), ns)| (segment.key.start + slot * length, length, ns))
        .collect();
}

fn add_memory(activity: &mut Activity, segment: &Segment) {
    let mut now = None;
    for cell in &segment.totals {
        match Metric(cell.row.0) {
            Metric::MEMORY_PEAK => {
                activity.memory_peak = activity.memory_peak.max(Some(cell.value.value));
            }
            Metric::MEMORY_CURRENT => {
                activity.memory_peak = activity.memory_peak.max(Some(cell.value.value));
                now = now.max(Some((cell.slot, cell.value.value)));
            }
            Metric::MEMORY_LIMIT => {
                activity.memory_limit = activity.memory_limit.max(Some(cell.value.value));
            }
            _ => {}
        }
    }
    activity.memory_now = now.map(|(_, bytes)| bytes);
}

fn add(sum: &mut u64, n: u64) {
    *sum = sum.saturating_add(n);
}
