//! Settings from environment variables. The head of this crate lists them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};

/// A number from the environment.
///
/// # Errors
/// If the variable is not a number.
pub fn number(name: &str, default: u64) -> Result<u64> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name}={text} is not a whole number")),
        Err(_) => Ok(default),
    }
}

/// Minimum factor of [`timeout`]. A machine that is shared can be three times slower than one that is not.
const MIN_TIMEOUT_FACTOR: u32 = 3;
/// Maximum factor of [`pause`]. A pause takes its whole time in each test, and a timeout only in one
/// that fails.
const MAX_PAUSE_FACTOR: u32 = 5;

/// The time after which a test gives up: `base`, multiplied by `BUBBLE_PATIENCE` for slow machines.
///
/// # Panics
/// If `BUBBLE_PATIENCE` is not a number.
pub fn timeout(base: Duration) -> Duration {
    base * patience().max(MIN_TIMEOUT_FACTOR)
}

/// A time that a test always takes: `base`, or a few times as much on slow machines.
///
/// # Panics
/// If `BUBBLE_PATIENCE` is not a number.
pub fn pause(base: Duration) -> Duration {
    base * patience().min(MAX_PAUSE_FACTOR)
}

/// The time in which something arrives that is late, or that arrives twice.
///
/// # Panics
/// If `BUBBLE_PATIENCE` is not a number.
pub fn late_time() -> Duration {
    pause(Duration::from_secs(2)).min(Duration::from_secs(5))
}

/// Whether this machine is slow, such as an emulated guest.
///
/// # Panics
/// If `BUBBLE_PATIENCE` is not a number.
pub fn is_slow() -> bool {
    patience() > 1
}

fn patience() -> u32 {
    let factor = number("BUBBLE_PATIENCE", 1).expect("BUBBLE_PATIENCE must be a number");
    u32::try_from(factor).unwrap_or(u32::MAX)
}

/// Whether the kernel has the tracepoint `mm_filemap_fault`: Linux 6.12 and later.
///
/// # Panics
/// If the kernel does not tell its version.
pub fn counts_mapped_pages() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's version");
    let mut numbers = release.split('.').map_while(|n| n.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(12))
}

/// The requested family of hooks of the agent.
pub fn hooks() -> String {
    env::var("BUBBLE_HOOKS").unwrap_or_else(|_| "auto".to_owned())
}

/// The path of one of the three programs.
///
/// # Errors
/// If it does not exist.
pub fn program(name: &str) -> Result<PathBuf> {
    let variable = format!("{}_BIN", name.replace('-', "_").to_uppercase());
    if let Ok(path) = env::var(&variable) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("{variable}={}: no such file", path.display());
        }
        return Ok(path);
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let built = |profile: &str| -> Option<(SystemTime, PathBuf)> {
        let path = target
            .join(format!("{}-unknown-linux-gnu", env::consts::ARCH))
            .join(profile)
            .join(name);
        Some((path.metadata().ok()?.modified().ok()?, path))
    };
    let newest = [built("release"), built("debug")]
        .into_iter()
        .flatten()
        .max();
    match newest {
        Some((_, path)) => Ok(path),
        None => bail!("there is no static {name}: run `cargo xtask build`, or set {variable}"),
    }
}

/// Copies one of the three programs into `folder`, to where other users may execute it. Returns its path.
///
/// `cp` copies it: a process that another thread forks meanwhile would keep a file open that this
/// process writes, and the kernel executes no file that is open for writing (`ETXTBSY`).
///
/// # Errors
/// If the program does not exist, or the folder cannot be written.
pub fn copy_of_program(name: &str, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join(name);
    let status = Command::new("cp")
        .arg(program(name)?)
        .arg(&copy)
        .status()
        .context("cannot start cp")?;
    ensure!(status.success(), "cp cannot write {}", copy.display());
    Ok(copy)
}
