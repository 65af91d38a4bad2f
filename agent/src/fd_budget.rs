//! Files that stay open between two reads: opening costs more than reading.
//!
//! Half of the process's descriptors may be retained; the rest is for the spool, the server and
//! other files of /proc. A file beyond the budget is opened for each read.

use std::fs::File;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that may still be retained. Until [`raise_limit`] runs: half of the smallest
/// limit that POSIX allows.
static BUDGET: AtomicU64 = AtomicU64::new(128);

/// A file that stays open; dropping it returns its descriptor to the budget.
#[derive(Debug)]
pub struct RetainedFile(File);

impl RetainedFile {
    /// Retains `file`. `None` when the budget is used up.
    pub fn new(file: File) -> Option<Self> {
        let acquired = BUDGET.fetch_update(Relaxed, Relaxed, |budget| budget.checked_sub(1));
        // Not `then_some`: it would make and drop a value that returns what was never acquired.
        acquired.is_ok().then(|| Self(file))
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for RetainedFile {
    fn drop(&mut self) {
        BUDGET.fetch_add(1, Relaxed);
    }
}

/// Raises the limit of open files to its maximum, and the budget to half of it.
///
/// Call it before the first file is retained.
pub fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        ..before
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => before.maximum,
        Err(error) => {
            tracing::debug!(%error, "cannot raise the limit of open files");
            before.current
        }
    };
    // `None` is no limit.
    BUDGET.store(limit.unwrap_or(u64::MAX) / 2, Relaxed);
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::RetainedFile;

    #[test]
    fn dropping_a_file_returns_its_descriptor() {
        let open = || File::open("/dev/null").unwrap();
        // Other tests of this process may hold part of the budget.
        let mut retained = Vec::new();
        while let Some(file) = RetainedFile::new(open()) {
            retained.push(file);
            assert!(retained.len() <= 128);
        }
        assert!(!retained.is_empty());
        assert!(
            RetainedFile::new(open()).is_none(),
            "a refused file returned a descriptor"
        );
        drop(retained);
        assert!(RetainedFile::new(open()).is_some());
    }
}
