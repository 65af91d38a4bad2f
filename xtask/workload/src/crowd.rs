//! `crowd`: many processes that each do a little every second, as most processes of a host do. What
//! it costs to watch them is the question; what they did is not.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::sys;

/// Of each file, written and read back every second.
const BYTES: usize = 4096;

/// How many, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Processes
    #[arg(long, default_value_t = 20)]
    processes: u32,
    /// Seconds of their life
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// Starts them and waits for their end.
pub(crate) fn run(directory: &Path, options: &Options) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut started = Vec::new();
    for number in 0..options.processes {
        match sys::fork().context("cannot fork")? {
            Some(pid) => started.push(pid),
            None => {
                // Nobody is left alone, should the one that waits be killed.
                let lived = sys::die_with_parent()
                    .and_then(|()| live(&directory.join(format!("member-{number}")), number, end));
                sys::exit(i32::from(lived.is_err()));
            }
        }
    }
    for pid in started {
        let ended = sys::wait(pid).context("cannot wait for a member")?;
        ensure!(ended.exit_code == Some(0), "the member {pid} failed");
    }
    Ok(())
}

/// One of them: each begins at another time of the second.
fn live(path: &Path, number: u32, end: Instant) -> io::Result<()> {
    let mut buffer = [0x5a; BYTES];
    sleep(Duration::from_millis(u64::from(number) * 37 % 1000));
    while Instant::now() < end {
        sys::write(&File::create(path)?, &buffer)?;
        sys::read(&File::open(path)?, &mut buffer)?;
        sleep(Duration::from_secs(1));
    }
    Ok(())
}
