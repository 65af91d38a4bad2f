//! The folders that more than one command needs.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result};

/// The folder that holds the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets it for `cargo run`. The value at compile time is for a program started without
    // Cargo.
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest)
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        // As in Cargo, a relative path starts at the current folder.
        Some(folder) => env::current_dir().unwrap_or_default().join(folder),
        None => root().join("target"),
    }
}

/// The folder of downloads that survive `cargo clean`: kernels, tools, services.
pub(crate) fn cache() -> PathBuf {
    root().join(".cache")
}

/// Copies this program to a file `name` that no build touches.
///
/// Tests and groups in the background start it. A group that compiles the workspace replaces
/// `target/…/xtask`, and then `current_exe` names a file that is gone.
pub(crate) fn copy_of_xtask(name: &str) -> Result<PathBuf> {
    let copy = target().join("test").join(name);
    fs::create_dir_all(target().join("test"))?;
    // A former copy may still be running, and a running program cannot be written.
    if copy.exists() {
        fs::remove_file(&copy)?;
    }
    fs::copy("/proc/self/exe", &copy).context("cannot copy this program")?;
    Ok(copy)
}
