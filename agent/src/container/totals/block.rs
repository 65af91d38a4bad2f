//! Block I/O of a cgroup, summed over its devices.
//!
//! The kernel counts by device, and a device that is removed takes its counters along. So the growth of each
//! is summed here.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use bubble_common::segment::total::Metric;

use super::cgroup::{Cgroup, Figures, number};
use crate::container::error::is_absent;
use crate::container::files::Unread;

/// Bytes read and written, operations that read and wrote; `None` if there is no such figure.
type Counts = [Option<u64>; 4];

/// The metrics of [`Counts`].
const METRICS: [Metric; 4] = [
    Metric::BLOCK_IN,
    Metric::BLOCK_OUT,
    Metric::BLOCK_IN_OPS,
    Metric::BLOCK_OUT_OPS,
];

/// The devices of a cgroup, by their numbers (`253:0`).
#[derive(Debug)]
pub(super) struct Devices {
    /// Folder with the facts of each device.
    pub(super) folder: PathBuf,
    /// Whether a device is stacked on others, which count the same bytes too.
    stacked: HashMap<String, bool>,
    /// The kernel's counters at the last reading.
    counted: HashMap<String, Counts>,
    /// How much those of all devices that are not stacked grew.
    sums: Counts,
}

impl Devices {
    /// None that were read so far.
    pub(super) fn new() -> Self {
        Self {
            folder: "/sys/dev/block".into(),
            stacked: HashMap::new(),
            counted: HashMap::new(),
            sums: [None; 4],
        }
    }

    /// Makes the next reading find out again which devices are stacked.
    pub(super) fn forget_stacks(&mut self) {
        self.stacked.clear();
    }

    /// Adds the growth of each device. `is_known` says which figures there are.
    ///
    /// # Errors
    /// When it cannot be read which devices count the same bytes. Nothing is added then.
    fn add(&mut self, read: HashMap<&str, Counts>, is_known: [bool; 4]) -> io::Result<()> {
        for device in read.keys() {
            self.is_stacked(device)?;
        }
        for (sum, is_known) in self.sums.iter_mut().zip(is_known) {
            if is_known {
                sum.get_or_insert(0);
            }
        }
        for (device, now) in read {
            let has_numbers = device.contains(':');
            let is_stacked = self.stacked.get(device).copied().unwrap_or(false);
            let counted = self.counted.entry(device.to_owned()).or_default();
            for ((counted, sum), now) in counted.iter_mut().zip(&mut self.sums).zip(now) {
                let Some(now) = now else { continue };
                let before = counted.replace(now).unwrap_or(0);
                if let Some(sum) = sum.as_mut().filter(|_| !is_stacked) {
                    // A smaller value is that of another device with its numbers. Those without numbers are
                    // summed under one name, and one of them is gone.
                    let fallen = if has_numbers { now } else { 0 };
                    let grown = now.checked_sub(before).unwrap_or(fallen);
                    *sum = sum.saturating_add(grown);
                }
            }
        }
        Ok(())
    }

    /// Whether a device is stacked on others, which count the same bytes too.
    ///
    /// # Errors
    /// When that cannot be read.
    fn is_stacked(&mut self, device: &str) -> io::Result<bool> {
        if let Some(known) = self.stacked.get(device) {
            return Ok(*known);
        }
        let slaves = self.folder.join(device).join("slaves");
        let found = match fs::read_dir(slaves) {
            Ok(mut entries) => entries.next().transpose()?.is_some(),
            Err(error) if is_absent(&error) => false,
            Err(error) => return Err(error),
        };
        self.stacked.insert(device.to_owned(), found);
        Ok(found)
    }
}

/// Bytes and operations, from v2 or else v1. None when neither has them.
///
/// # Errors
/// When a file cannot be read, or which devices count the same bytes.
pub(super) fn read(cgroup: &mut Cgroup<'_>, devices: &mut Devices) -> Result<Figures, Unread> {
    let added = match cgroup.v2("io.stat")? {
        Some(text) => devices.add(io_stat(&text), [true; 4]),
        None => {
            // The sums of one file are not those of the other.
            let mut read = |recursive, own| match cgroup.v1("blkio", recursive)? {
                None => cgroup.v1("blkio", own),
                text => Ok(text),
            };
            let bytes = read(
                "blkio.throttle.io_service_bytes_recursive",
                "blkio.throttle.io_service_bytes",
            )?;
            let operations = read(
                "blkio.throttle.io_serviced_recursive",
                "blkio.throttle.io_serviced",
            )?;
            let known = [bytes.is_some(), operations.is_some()];
            let texts = [bytes, operations].map(Option::unwrap_or_default);
            let [bytes, operations] = known;
            let known = [bytes, bytes, operations, operations];
            devices.add(blkio(&texts), known)
        }
    };
    if let Err(error) = added {
        cgroup.files.note_failure(error);
        return Err(Unread);
    }
    let figures = METRICS.into_iter().zip(devices.sums);
    Ok(figures
        .filter_map(|(metric, sum)| Some((metric, sum?)))
        .collect())
}

fn add(count: &mut Option<u64>, value: u64) {
    *count = Some(count.unwrap_or(0).saturating_add(value));
}

/// The devices of an io.stat. Some kernels (5.15) end no line after a device without statistics, so the last
/// name before the numbers counts.
fn io_stat(text: &str) -> HashMap<&str, Counts> {
    let mut devices: HashMap<&str, Counts> = HashMap::new();
    for line in text.lines() {
        let names = line.split(' ').take_while(|word| !word.contains('='));
        let Some(device) = names.last() else {
            continue;
        };
        let counts = devices.entry(device).or_default();
        for word in line.split(' ') {
            let Some((key, value)) = word.split_once('=') else {
                continue;
            };
            let index = ["rbytes", "wbytes", "rios", "wios"]
                .iter()
                .position(|known| *known == key);
            if let (Some(index), Some(value)) = (index, number(value)) {
                add(&mut counts[index], value);
            }
        }
    }
    devices
}

/// The devices of the files of blkio: with bytes, and with operations.
fn blkio(texts: &[String; 2]) -> HashMap<&str, Counts> {
    let mut devices: HashMap<&str, Counts> = HashMap::new();
    for (file, text) in texts.iter().enumerate() {
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(device), Some(kind)) = (words.next(), words.next()) else {
                continue;
            };
            let index = ["Read", "Write"].iter().position(|known| *known == kind);
            if let (Some(index), Some(value)) = (index, words.next().and_then(number)) {
                add(
                    &mut devices.entry(device).or_default()[2 * file + index],
                    value,
                );
            }
        }
    }
    devices
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Devices, io_stat};

    #[test]
    fn a_line_may_begin_with_devices_without_statistics() {
        let of = |bytes| [Some(bytes), None, None, Some(1)];
        let text = "7:1 7:0 rbytes=5 wios=1\n8:0 rbytes=2 wios=1\n7:9\n";
        let expected = HashMap::from([("7:0", of(5)), ("8:0", of(2)), ("7:9", [None; 4])]);
        assert_eq!(io_stat(text), expected);
    }

    #[test]
    fn of_devices_without_numbers_one_may_vanish() {
        let mut devices = Devices::new();
        let mut read = |text: &str| {
            devices.add(io_stat(text), [true; 4]).unwrap();
            devices.sums[0]
        };
        assert_eq!(read("(unknown) rbytes=5\n(unknown) rbytes=3\n"), Some(8));
        assert_eq!(read("(unknown) rbytes=5\n"), Some(8));
        assert_eq!(read("(unknown) rbytes=6\n"), Some(9));
    }
}
