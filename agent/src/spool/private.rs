//! The spool is for the agent's user alone: it has command lines and paths of all containers.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Mode of a folder.
const FOLDER: u32 = 0o700;
/// Mode of a file.
const FILE: u32 = 0o600;
/// Permissions of others.
const OTHERS: u32 = 0o077;
/// A folder that many users share, such as /tmp.
const STICKY: u32 = 0o1000;

/// Creates `folder` if it is absent, and takes all permissions of others away, also of its files.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(FOLDER).create(folder)?;
    restrict(folder);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Neither folders, which may belong to something else, nor what links lead to.
        if entry.file_type()?.is_file() {
            restrict(&entry.path());
        }
    }
    Ok(())
}

/// Options that open a file, and create it for this user alone.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE);
    options
}

/// Takes the permissions of others away from `path`.
fn restrict(path: &Path) {
    let restricted = fs::metadata(path).and_then(|metadata| {
        let mode = metadata.permissions().mode();
        if mode & OTHERS == 0 || mode & STICKY != 0 {
            return Ok(());
        }
        fs::set_permissions(path, Permissions::from_mode(mode & 0o7700))
    });
    if let Err(error) = restricted {
        tracing::warn!(path = %path.display(), "others may be able to read the spool: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use crate::spool::{BatchId, Spool};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn open_to_all(path: &Path) {
        let all = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(all)).unwrap();
    }

    /// All files and folders of a spool with their modes.
    fn modes(folder: &Path) -> Vec<(String, u32)> {
        let mut found = vec![(String::new(), mode(folder))];
        for folder in [folder.to_owned(), folder.join("rejected")] {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                found.push((name, mode(&path)));
            }
        }
        found
    }

    #[test]
    fn others_can_read_neither_new_files_nor_old_ones() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("spool");
        let mut spool = Spool::open(&folder, 1 << 20).unwrap();
        spool.append(b"a batch".to_vec(), 1);
        let id = BatchId {
            sequence: 7,
            revision: 0,
        };
        spool.reject(id, b"a refused batch", []);
        let private = |(name, mode): &(String, u32)| match name.as_str() {
            "" | "rejected" => *mode == 0o700,
            _ => *mode == 0o600,
        };
        let new = modes(&folder);
        assert!(new.len() >= 5, "{new:?}");
        assert!(new.iter().all(private), "{new:?}");
        drop(spool);
        // As an earlier version left them.
        let rejected = folder.join("rejected");
        for place in [&folder, &rejected] {
            for entry in fs::read_dir(place).unwrap() {
                open_to_all(&entry.unwrap().path());
            }
        }
        open_to_all(&folder);
        let _spool = Spool::open(&folder, 1 << 20).unwrap();
        let old = modes(&folder);
        assert_eq!(old.len(), new.len());
        assert!(old.iter().all(private), "{old:?}");
    }

    #[test]
    fn a_folder_that_others_share_stays_as_it_is() {
        let shared = tempfile::tempdir().unwrap();
        fs::set_permissions(shared.path(), Permissions::from_mode(0o1777)).unwrap();
        let _spool = Spool::open(shared.path(), 1 << 20).unwrap();
        assert_eq!(mode(shared.path()), 0o1777);
        assert_eq!(mode(&shared.path().join("lock")), 0o600);
    }
}
