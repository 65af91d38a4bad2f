//! Compares pulses with the store. A pulse is a small write to its own file at a known time.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use bubble_workload::truth::Pulse;

use crate::api::{Api, File, Span};
use crate::bench;
use crate::container::Finished;

/// A time, seconds since the Unix epoch.
pub type Seconds = f64;

/// The time of a pulse, seconds since the Unix epoch.
pub fn time(pulse: &Pulse) -> Seconds {
    pulse.at_ns as f64 / 1e9
}

/// The pulses of `finished` that are not stored.
///
/// # Errors
/// If a pulse is stored partly or more than once, which no failure excuses.
pub fn missing(api: &Api, id: &str, finished: &Finished) -> Result<Vec<Pulse>> {
    let first = finished.truth.pulses.first().map_or(0.0, time);
    let span = Span {
        from: (first - 60.0).floor(),
        to: bench::now().ceil(),
    };
    let files: Vec<File> = api.ledger(id, span)?.files;
    let mut stored: HashMap<&str, (u64, u64)> = HashMap::new();
    for file in &files {
        let sums = stored.entry(&file.path).or_default();
        *sums = (sums.0 + file.bytes_out, sums.1 + file.ops_out);
    }
    let mut missing = Vec::new();
    for pulse in &finished.truth.pulses {
        match stored.get(pulse.path.as_str()) {
            // The open and the write can be in different seconds, and only the second of the write be missing.
            None | Some((0, 0)) => missing.push(pulse.clone()),
            Some(sums) => ensure!(
                *sums == (pulse.bytes, 1),
                "{} was written once, {} bytes; stored is {sums:?} (bytes, operations)",
                pulse.path,
                pulse.bytes,
            ),
        }
    }
    Ok(missing)
}
