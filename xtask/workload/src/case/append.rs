//! Appends: writes to the end of one file until it is killed. The size of the file is the truth, so
//! this case prints none.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

/// File and rate.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The file; created if it does not exist
    #[arg(long)]
    path: PathBuf,
    /// Bytes of each write
    #[arg(long, default_value_t = 1000)]
    bytes: usize,
    /// Time between two writes, microseconds
    #[arg(long, default_value_t = 1000)]
    interval_us: u64,
}

/// Runs the case. It only returns on an error.
pub(crate) fn run(options: &Options) -> Result<i32> {
    let path = &options.path;
    let file = OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let data = vec![0x5a; options.bytes];
    loop {
        file.write_all(&data).context("cannot write")?;
        sleep(Duration::from_micros(options.interval_us));
    }
}
