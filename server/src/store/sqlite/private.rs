//! The data directory is for this user alone: it has keys, the secret of tokens, and what ran.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use tracing::warn;

use crate::store::error::{StoreError, failed};

/// Makes the directory `data` if it does not exist, and takes all permissions of others away, also
/// of its files. New files get theirs by the mask of the process.
pub(super) fn make_private(data: &Path) -> Result<(), StoreError> {
    let doing = "make the data directory";
    let mut directory = DirBuilder::new();
    directory.recursive(true).mode(0o700);
    directory.create(data).map_err(failed(doing))?;
    restrict(data);
    for entry in std::fs::read_dir(data).map_err(failed(doing))? {
        let entry = entry.map_err(failed(doing))?;
        // Not those of directories, which belong to something else, nor through links.
        if entry.file_type().map_err(failed(doing))?.is_file() {
            restrict(&entry.path());
        }
    }
    Ok(())
}

/// Takes the permissions of others away from `path`.
fn restrict(path: &Path) {
    let changed = std::fs::metadata(path).and_then(|metadata| {
        let mode = metadata.permissions().mode();
        match mode & 0o077 {
            0 => Ok(()),
            _ => std::fs::set_permissions(path, Permissions::from_mode(mode & 0o7700)),
        }
    });
    if let Err(error) = changed {
        // A volume may belong to another user; its owner decides who reads it.
        warn!(%error, path = %path.display(), "others may be able to read this");
    }
}
