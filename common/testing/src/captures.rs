//! Finds the captures that other people recorded, which are not part of this repository.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Environment variable that names the folder.
const FOLDER_VARIABLE: &str = "BUBBLE_CAPTURES";

/// The folder with `captures/` and `legacy/` (output of sysdig and its chisels).
///
/// `BUBBLE_CAPTURES` names it; the default is `shared` beside the repository.
pub fn folder() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os(FOLDER_VARIABLE).map_or_else(default, PathBuf::from)
}

/// The same folder, for a test. Returns `None` and says so if it is missing.
///
/// # Panics
/// If it is missing in CI.
pub fn folder_if_present() -> Option<PathBuf> {
    let folder = folder();
    if folder.join("captures").is_dir() {
        return Some(folder);
    }
    let missing = format!(
        "NOT TESTED: no captures/ in {} (set {FOLDER_VARIABLE} to the folder that holds it)",
        folder.display()
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    // The test harness hides what a passing test prints with `eprintln!`. One write, so that the
    // harness's own output does not cut the line.
    let _ = io::stderr().write_all(format!("{missing}\n").as_bytes());
    None
}
