//! Block I/O of a cgroup, summed over its devices.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use bubble_common::segment::total::Metric;

use super::cgroup::{Cgroup, number};

/// Whether a device is stacked on others, by its numbers (`253:0`).
pub(super) type StackedDevices = HashMap<String, bool>;

/// Bytes and operations, from v2 or else v1. `None` when neither has them.
pub(super) fn read(
    cgroup: &mut Cgroup<'_>,
    stacked: &mut StackedDevices,
) -> Option<[(Metric, u64); 4]> {
    match cgroup.v2("io.stat") {
        Some(text) => Some(io_stat(&text, stacked)),
        None => blkio(cgroup, stacked),
    }
}

/// Sums over the devices of an io.stat.
fn io_stat(text: &str, stacked: &mut StackedDevices) -> [(Metric, u64); 4] {
    let mut sums = [0_u64; 4];
    for line in text.lines() {
        let mut words = line.split(' ');
        if words
            .next()
            .is_none_or(|device| is_stacked(device, stacked))
        {
            continue;
        }
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                continue;
            };
            let sum = match key {
                "rbytes" => &mut sums[0],
                "wbytes" => &mut sums[1],
                "rios" => &mut sums[2],
                "wios" => &mut sums[3],
                _ => continue,
            };
            *sum = sum.saturating_add(number(value).unwrap_or(0));
        }
    }
    figures(sums)
}

fn blkio(cgroup: &mut Cgroup<'_>, stacked: &mut StackedDevices) -> Option<[(Metric, u64); 4]> {
    let mut read = |recursive, own| match cgroup.v1("blkio", recursive) {
        Some(text) => Some(text),
        None => cgroup.v1("blkio", own),
    };
    let bytes = read(
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
    )?;
    let operations = read(
        "blkio.throttle.io_serviced_recursive",
        "blkio.throttle.io_serviced",
    )
    .unwrap_or_default();
    let mut sum = |text: &str, kind: &str| {
        text.lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let device = words.next()?;
                let mine = words.next()? == kind && !is_stacked(device, stacked);
                mine.then(|| number(words.next()?)).flatten()
            })
            .fold(0, u64::saturating_add)
    };
    Some(figures([
        sum(&bytes, "Read"),
        sum(&bytes, "Write"),
        sum(&operations, "Read"),
        sum(&operations, "Write"),
    ]))
}

fn figures(sums: [u64; 4]) -> [(Metric, u64); 4] {
    [
        (Metric::BLOCK_IN, sums[0]),
        (Metric::BLOCK_OUT, sums[1]),
        (Metric::BLOCK_IN_OPS, sums[2]),
        (Metric::BLOCK_OUT_OPS, sums[3]),
    ]
}

/// Whether a device (`253:0`) is stacked on others, which count the same bytes too.
fn is_stacked(device: &str, stacked: &mut StackedDevices) -> bool {
    if let Some(known) = stacked.get(device) {
        return *known;
    }
    let slaves = Path::new("/sys/dev/block").join(device).join("slaves");
    let found = fs::read_dir(slaves).is_ok_and(|mut entries| entries.next().is_some());
    stacked.insert(device.to_owned(), found);
    found
}
