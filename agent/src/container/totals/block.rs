//! Block I/O of a cgroup, summed over its devices.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use bubble_common::segment::total::Metric;

use super::cgroup::{Cgroup, Figures, number};
use crate::container::files::is_absent;

/// Whether a device is stacked on others, by its numbers (`253:0`).
#[derive(Debug)]
pub(super) struct StackedDevices {
    /// Folder with the facts of each device.
    pub(super) folder: PathBuf,
    known: HashMap<String, bool>,
}

impl StackedDevices {
    /// Those of this host.
    pub(super) fn new() -> Self {
        Self {
            folder: "/sys/dev/block".into(),
            known: HashMap::new(),
        }
    }

    /// Makes the next question look again.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// Whether a device is stacked on others, which count the same bytes too.
    ///
    /// # Errors
    /// When that cannot be read.
    fn has(&mut self, device: &str) -> io::Result<bool> {
        if let Some(known) = self.known.get(device) {
            return Ok(*known);
        }
        let slaves = self.folder.join(device).join("slaves");
        let found = match fs::read_dir(slaves) {
            Ok(mut entries) => entries.next().transpose()?.is_some(),
            Err(error) if is_absent(&error) => false,
            Err(error) => return Err(error),
        };
        self.known.insert(device.to_owned(), found);
        Ok(found)
    }
}

/// Bytes and operations, from v2 or else v1. None when neither has them, or when it is not known
/// which devices count the same bytes: with one more device the sums would jump by its history.
pub(super) fn read(cgroup: &mut Cgroup<'_>, stacked: &mut StackedDevices) -> Figures {
    let read = match cgroup.v2("io.stat") {
        Some(text) => io_stat(&text, stacked),
        None => blkio(cgroup, stacked),
    };
    read.unwrap_or_else(|error| {
        cgroup.files.note_failure(error);
        Figures::new()
    })
}

/// Sums over the devices of an io.stat.
fn io_stat(text: &str, stacked: &mut StackedDevices) -> io::Result<Figures> {
    let mut sums = [0_u64; 4];
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some(device) = words.next() else {
            continue;
        };
        if stacked.has(device)? {
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
    let [bytes_in, bytes_out, in_ops, out_ops] = sums;
    Ok(vec![
        (Metric::BLOCK_IN, bytes_in),
        (Metric::BLOCK_OUT, bytes_out),
        (Metric::BLOCK_IN_OPS, in_ops),
        (Metric::BLOCK_OUT_OPS, out_ops),
    ])
}

fn blkio(cgroup: &mut Cgroup<'_>, stacked: &mut StackedDevices) -> io::Result<Figures> {
    let mut read = |recursive, own| match cgroup.v1("blkio", recursive) {
        // The sums of one file are not those of the other, so a failure does not lead to it.
        None if !cgroup.files.has_failed() => cgroup.v1("blkio", own),
        text => text,
    };
    let bytes = read(
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
    );
    let operations = read(
        "blkio.throttle.io_serviced_recursive",
        "blkio.throttle.io_serviced",
    );
    let mut sum = |text: &str, kind: &str| {
        let mut sum = 0_u64;
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(device), Some(found)) = (words.next(), words.next()) else {
                continue;
            };
            if found == kind && !stacked.has(device)? {
                sum = sum.saturating_add(words.next().and_then(number).unwrap_or(0));
            }
        }
        io::Result::Ok(sum)
    };
    let mut figures = Figures::new();
    for (text, received, sent) in [
        (bytes, Metric::BLOCK_IN, Metric::BLOCK_OUT),
        (operations, Metric::BLOCK_IN_OPS, Metric::BLOCK_OUT_OPS),
    ] {
        if let Some(text) = text {
            figures.push((received, sum(&text, "Read")?));
            figures.push((sent, sum(&text, "Write")?));
        }
    }
    Ok(figures)
}
