//! What the environment says; see the list at the head of this crate.

use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

/// A number from the environment.
///
/// # Errors
/// When the variable is set to something else than a number.
pub fn number(name: &str, default: u64) -> Result<u64> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name}={text} is not a whole number")),
        Err(_) => Ok(default),
    }
}

/// `time`, longer where the machine is slow.
///
/// # Panics
/// When `BUBBLE_PATIENCE` is not a number.
pub fn patience(time: Duration) -> Duration {
    let factor = number("BUBBLE_PATIENCE", 1).expect("BUBBLE_PATIENCE must be a number");
    time * u32::try_from(factor).unwrap_or(u32::MAX)
}

/// The agent's family of hooks, as asked for.
pub fn hooks() -> String {
    env::var("BUBBLE_HOOKS").unwrap_or_else(|_| "auto".to_owned())
}

/// One of the three programs.
///
/// # Errors
/// When there is none.
pub fn program(name: &str) -> Result<PathBuf> {
    let variable = format!("{}_BIN", name.replace('-', "_").to_uppercase());
    if let Ok(path) = env::var(&variable) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("{variable} names {}, which is not there", path.display());
        }
        return Ok(path);
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let built = |profile: &str| -> Option<(SystemTime, PathBuf)> {
        let path = target
            .join("x86_64-unknown-linux-gnu")
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
