//! Where things are: every path that more than one command needs.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The folder that holds the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets it for `cargo run`; the value at compile time serves a binary started by itself.
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest)
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        // As Cargo does: a relative path is meant from the folder one stands in.
        Some(folder) => env::current_dir().unwrap_or_default().join(folder),
        None => root().join("target"),
    }
}

/// What is fetched once and outlives `cargo clean`: kernels, tools.
pub(crate) fn cache() -> PathBuf {
    root().join(".cache")
}

/// The kernel side, compiled: written by `build-ebpf`, embedded by `agent/build.rs`.
pub(crate) fn ebpf_object() -> PathBuf {
    target().join("ebpf/bubble-agent-ebpf")
}
