//! What a posted segment adds to the index of containers.

use bubble_common::segment::Segment;
use bubble_common::segment::total::Metric;

use crate::store::row::Activity;

/// Sums up `segment`.
pub fn activity(segment: &Segment) -> Activity {
    let length = segment.key.resolution.seconds();
    let start_of = |slot: usize| segment.key.start + slot as u64 * length;
    let known = |coverage: &bubble_common::segment::Coverage| !coverage.is_gap();
    let mut activity = Activity {
        facts: segment.facts.clone(),
        ..Activity::default()
    };
    let first = segment.coverage.iter().position(known);
    let last = segment.coverage.iter().rposition(known);
    if let (Some(first), Some(last)) = (first, last) {
        activity.first = start_of(first);
        activity.last = start_of(last + 1);
    } else {
        // Facts alone: as of the end of the span.
        activity.last = segment.end();
        activity.first = activity.last;
    }

    let mut cpu = vec![0_u64; segment.coverage.len()];
    for cell in &segment.cpu {
        let sum = &mut cpu[cell.slot as usize];
        *sum = sum.saturating_add(cell.value.ns);
    }
    activity.cpu_ns = cpu.iter().fold(0, |sum, ns| sum.saturating_add(*ns));
    activity.cpu = segment
        .coverage
        .iter()
        .enumerate()
        .filter(|(_, coverage)| known(coverage))
        .map(|(slot, _)| (start_of(slot), length, cpu[slot]))
        .collect();
    for cell in &segment.file_io {
        add(&mut activity.bytes_in, cell.value.bytes_in);
        add(&mut activity.bytes_out, cell.value.bytes_out);
    }
    for cell in &segment.network_io {
        add(&mut activity.bytes_in, cell.value.bytes_in);
        add(&mut activity.bytes_out, cell.value.bytes_out);
    }
    let mut now = None;
    for cell in &segment.totals {
        match Metric(cell.row.0) {
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
    activity
}

fn add(sum: &mut u64, n: u64) {
    *sum = sum.saturating_add(n);
}
