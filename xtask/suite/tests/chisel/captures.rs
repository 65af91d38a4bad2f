//! Captures that others recorded, and what is in them: in the folder that `BUBBLE_CAPTURES` names,
//! or else in `shared` beside the project.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The folder, or none where there is none, which is said aloud, and is a failure in CI.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("BUBBLE_CAPTURES").map_or_else(beside, PathBuf::from);
    if folder.join("captures/502error.scap").is_file() {
        return Some(folder);
    }
    let missing = format!(
        "NOT TESTED: {} has no captures/502error.scap; name the folder by BUBBLE_CAPTURES",
        folder.display()
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    // Past the harness, which swallows what a test prints that passes.
    let _ = writeln!(io::stderr(), "{missing}");
    None
}
