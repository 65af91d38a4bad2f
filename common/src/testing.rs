//! What the tests and benchmarks of several crates look for.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The variable that names the folder of what others recorded.
const OTHERS: &str = "BUBBLE_CAPTURES";

/// Where what others recorded is looked for: `captures/` and, printed by sysdig and its chisels, `legacy/`.
/// It is the folder that `BUBBLE_CAPTURES` names, or else `shared` beside the project.
pub fn folder_of_others() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    std::env::var_os(OTHERS).map_or_else(beside, PathBuf::from)
}

/// The same folder, for a test. None where it is not there, which is said aloud.
///
/// # Panics
/// In CI, where it must be there.
pub fn others() -> Option<PathBuf> {
    let folder = folder_of_others();
    if folder.join("captures").is_dir() {
        return Some(folder);
    }
    let missing = format!(
        "NOT TESTED: there are no captures/ of others in {} (the folder can be named by {OTHERS})",
        folder.display()
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    // Past the harness, which swallows what a test prints that passes; and in one piece, as it prints meanwhile.
    let _ = io::stderr().write_all(format!("{missing}\n").as_bytes());
    None
}
