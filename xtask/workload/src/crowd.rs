//! `crowd`: many processes that each do a little every second, as most processes of a host. It is for
//! measuring the cost of the agent, so it prints nothing.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::sys;

/// Bytes that each process writes and reads back every second.
const BYTES: usize = 4096;

/// Number and duration.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Number of processes
    #[arg(long, default_value_t = 20)]
    processes: u32,
    /// Lifetime, seconds
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
                // If the parent is killed, its children end too.
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

/// The work of one process. Each starts at another time within the second.
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
