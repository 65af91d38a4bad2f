//! Pulses: small writes at known times, each to another file. So a test can distinguish writes that
//! arrived late, twice or never.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use bubble_workload::truth::{Pulse, Truth};
use clap::Args;

use super::blocks;
use crate::ledger::{Ledger, now_ns};
use crate::sys;

/// Number and interval.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Number of writes
    #[arg(long, default_value_t = 20)]
    count: u32,
    /// Time between two writes, ms
    #[arg(long, default_value_t = 1000)]
    interval_ms: u64,
    /// Bytes of each write
    #[arg(long, default_value_t = 4096)]
    bytes: usize,
    /// End when this file exists, but not before the first write
    #[arg(long)]
    until: Option<PathBuf>,
}

/// Runs the case.
pub(crate) fn run(directory: &Path, options: &Options) -> Result<Truth> {
    let mut ledger = Ledger::new("pulse");
    let data = vec![0x5a; options.bytes];
    for number in 0..options.count {
        if number > 0 && options.until.as_deref().is_some_and(Path::exists) {
            break;
        }
        let path = directory.join(format!("pulse-{number:06}"));
        let name = path.to_string_lossy().into_owned();
        let to = blocks::open(&mut ledger, &path, true)?;
        let at_ns = now_ns();
        let bytes = sys::write(&to, &data)?;
        drop(to);
        ensure!(
            bytes == data.len() as u64,
            "only {bytes} bytes could be written to {name}"
        );
        ledger.written(&name, bytes);
        ledger.pulse(Pulse {
            at_ns,
            path: name,
            bytes,
        });
        fs::remove_file(&path)?;
        sleep(Duration::from_millis(options.interval_ms));
    }
    Ok(ledger.close())
}
