//! A walk over the cgroups of one hierarchy.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::Path;

/// Maximum depth of a visited cgroup: a guard against a hostile tree.
const MAX_DEPTH: usize = 32;

/// The cgroups below which a walk has not seen all: what it did not find there may exist.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Their paths; that of the root is empty.
    paths: HashSet<String>,
    /// The first error.
    pub(super) error: Option<io::Error>,
}

impl Unread {
    /// Whether the cgroup at `path` may exist though the walk did not find it.
    pub(super) fn covers(&self, path: &str) -> bool {
        let mut path = path.trim_end_matches('/');
        if self.paths.is_empty() {
            return false;
        }
        while !self.paths.contains(path) {
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => return false,
            }
        }
        true
    }

    /// Number of cgroups that `before` does not cover.
    pub(super) fn count_new(&self, before: &Self) -> usize {
        let paths = self.paths.iter();
        paths.filter(|path| !before.covers(path)).count()
    }
}

/// Calls `each` with path and id of the root and of every cgroup below it. An error ends the walk below
/// one cgroup only. Returns the cgroups below which it is not complete.
pub(super) fn walk(root: &Path, each: &mut impl FnMut(&str, u64)) -> Unread {
    let mut walk = Walk {
        each,
        unread: Unread::default(),
    };
    match fs::metadata(root) {
        Ok(metadata) => {
            (walk.each)("/", metadata.ino());
            walk.below(root, &mut String::new(), 0);
        }
        Err(error) => walk.miss("", error),
    }
    walk.unread
}

struct Walk<'a, F> {
    each: &'a mut F,
    unread: Unread,
}

impl<F: FnMut(&str, u64)> Walk<'_, F> {
    fn below(&mut self, folder: &Path, path: &mut String, depth: usize) {
        let Some(entries) = self.check(path, fs::read_dir(folder)) else {
            return;
        };
        for entry in entries {
            let Some(entry) = self.check(path, entry) else {
                continue;
            };
            let length = path.len();
            path.push('/');
            path.push_str(&entry.file_name().to_string_lossy());
            let kind = self.check(path, entry.file_type());
            if kind.is_some_and(|kind| kind.is_dir()) {
                if depth > MAX_DEPTH {
                    path.truncate(length);
                    let error = format!("there are cgroups at more than {MAX_DEPTH} levels");
                    self.miss(path, io::Error::other(error));
                    return;
                }
                (self.each)(path, entry.ino());
                self.below(&entry.path(), path, depth + 1);
            }
            path.truncate(length);
        }
    }

    /// The value. `None` on an error at `path`, which is kept unless the cgroup was removed during the
    /// walk.
    fn check<T>(&mut self, path: &str, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let removed = error.kind() == ErrorKind::NotFound
                    || error.raw_os_error() == Some(libc::ENODEV);
                if !removed {
                    self.miss(path, error);
                }
                None
            }
        }
    }

    fn miss(&mut self, path: &str, error: io::Error) {
        self.unread.paths.insert(path.to_owned());
        self.unread.error.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{MAX_DEPTH, Unread, walk};

    fn paths(root: &Path) -> (Vec<String>, Unread) {
        let mut paths = Vec::new();
        let unread = walk(root, &mut |path, _| paths.push(path.to_owned()));
        (paths, unread)
    }

    #[test]
    fn every_cgroup_is_visited() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::write(root.path().join("a/cgroup.procs"), "").unwrap();
        let (paths, unread) = paths(root.path());
        assert_eq!(paths, ["/", "/a", "/a/b"]);
        assert!(unread.error.is_none() && !unread.covers("/a"));
    }

    #[test]
    fn a_folder_that_cannot_be_read_makes_the_walk_incomplete() {
        let root = tempfile::tempdir().unwrap();
        let (found, unread) = paths(&root.path().join("missing"));
        assert!(found.is_empty() && unread.error.is_some());
        assert!(unread.covers("/") && unread.covers("/a/b"));
    }

    #[test]
    fn a_tree_that_is_too_deep_is_unknown_below_that() {
        let root = tempfile::tempdir().unwrap();
        let deep = "/d".repeat(MAX_DEPTH + 2);
        fs::create_dir_all(root.path().join(&deep[1..])).unwrap();
        fs::create_dir(root.path().join("other")).unwrap();
        let (found, unread) = paths(root.path());
        let deepest = &deep[..deep.len() - 2];
        assert!(unread.covers(&deep) && unread.covers(&format!("{deep}/x")));
        assert!(!unread.covers("/other/x") && !unread.covers(&deepest[2..]));
        assert!(found.iter().any(|path| path == deepest));
        assert_eq!(unread.count_new(&Unread::default()), 1);
        assert_eq!(unread.count_new(&unread), 0);
    }
}
