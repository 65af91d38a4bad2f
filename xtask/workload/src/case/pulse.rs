//! Pulses: small writes, each to a file of its own, at known times. A file is seen whole, once,
//! or not at all, so that what came late, twice or never is told apart.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use bubble_workload::truth::{Pulse, Truth};
use clap::Args;

use super::file;
use crate::ledger::{Ledger, now_ns};
use crate::sys;

/// How many, how often.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Writes
    #[arg(long, default_value_t = 20)]
    count: u32,
    /// Time between two, ms
    #[arg(long, default_value_t = 1000)]
    interval_ms: u64,
    /// Bytes of each
    #[arg(long, default_value_t = 4096)]
    bytes: usize,
    /// End early, between two writes, when this file exists
    #[arg(long)]
    until: Option<PathBuf>,
}

/// Runs the case.
pub(crate) fn run(directory: &Path, options: &Options) -> Result<Truth> {
    let mut ledger = Ledger::new("pulse");
    let data = vec![0x5a; options.bytes];
    for number in 0..options.count {
        if options.until.as_deref().is_some_and(Path::exists) {
            break;
        }
        let path = directory.join(format!("pulse-{number:06}"));
        let name = path.to_string_lossy().into_owned();
        let to = file::open(&mut ledger, &path, true)?;
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
