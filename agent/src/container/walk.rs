//! A walk over the cgroups of one hierarchy.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::Path;

/// Maximum depth of a visited cgroup: a guard against a hostile tree.
const MAX_DEPTH: usize = 32;

/// Calls `each` with path and id of the root and of every cgroup below it.
///
/// # Errors
/// The first one. The walk goes on with the other cgroups, but it is not complete: a cgroup that it
/// did not find may exist.
pub(super) fn walk(root: &Path, each: &mut impl FnMut(&str, u64)) -> io::Result<()> {
    each("/", fs::metadata(root)?.ino());
    let mut walk = Walk {
        each,
        outcome: Ok(()),
    };
    walk.below(root, &mut String::new(), 0);
    walk.outcome
}

struct Walk<'a, F> {
    each: &'a mut F,
    /// The first error.
    outcome: io::Result<()>,
}

impl<F: FnMut(&str, u64)> Walk<'_, F> {
    fn below(&mut self, folder: &Path, path: &mut String, depth: usize) {
        let Some(entries) = self.check(fs::read_dir(folder)) else {
            return;
        };
        for entry in entries {
            let Some(entry) = self.check(entry) else {
                continue;
            };
            let name = entry.file_name();
            if !self
                .check(entry.file_type())
                .is_some_and(|kind| kind.is_dir())
            {
                continue;
            }
            let length = path.len();
            path.push('/');
            path.push_str(&name.to_string_lossy());
            (self.each)(path, entry.ino());
            if depth < MAX_DEPTH {
                self.below(&entry.path(), path, depth + 1);
            }
            path.truncate(length);
        }
    }

    /// The value. `None` on an error, which is kept unless the cgroup was removed during the walk.
    fn check<T>(&mut self, result: io::Result<T>) -> Option<T> {
        result
            .map_err(|error| {
                let removed = error.kind() == ErrorKind::NotFound
                    || error.raw_os_error() == Some(libc::ENODEV);
                if !removed && self.outcome.is_ok() {
                    self.outcome = Err(error);
                }
            })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt as _;

    use super::walk;

    #[test]
    fn every_cgroup_is_visited() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::write(root.path().join("a/cgroup.procs"), "").unwrap();
        let mut paths = Vec::new();
        walk(root.path(), &mut |path, _| paths.push(path.to_owned())).unwrap();
        assert_eq!(paths, ["/", "/a", "/a/b"]);
    }

    #[test]
    fn a_folder_that_cannot_be_read_makes_the_walk_incomplete() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("missing");
        let error = walk(&missing, &mut |_, _| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);

        let locked = root.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).unwrap();
        // Root may read it all the same.
        let readable = fs::read_dir(&locked).is_ok();
        assert_eq!(walk(root.path(), &mut |_, _| {}).is_ok(), readable);
    }
}
