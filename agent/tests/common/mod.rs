//! What the tests of recordings share.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The folder of others' captures; nothing, which is said aloud, when it is not there.
pub(crate) fn others() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let folder = std::env::var_os("BUBBLE_CAPTURES").map_or(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let missing = format!(
        "others' captures are not in {}: set BUBBLE_CAPTURES",
        folder.display()
    );
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{missing}"
    );
    // Past the harness, which swallows what a test prints that passes.
    let _ = writeln!(io::stderr(), "NOT TESTED: {missing}");
    None
}
