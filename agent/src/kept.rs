//! Files that stay open: of what is read every second, opening costs more than reading. They are as
//! many as leave room for whatever else has to be opened (the spool, the server, other files of
//! /proc); what finds no room is opened each time.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many more may stay open. Until [`allow`] has asked: half of what every Unix allows.
static ROOM: AtomicU64 = AtomicU64::new(128);

/// A file that stays open.
#[derive(Debug)]
pub struct Kept(File);

impl Kept {
    /// Keeps `file`, if there is room.
    pub fn new(file: File) -> Option<Self> {
        let taken = ROOM.fetch_update(Relaxed, Relaxed, |room| room.checked_sub(1));
        taken.is_ok().then_some(Self(file))
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        ROOM.fetch_add(1, Relaxed);
    }
}

/// Lets this process have as many files open as it may, of which half may be kept.
/// To be called before any is.
pub fn allow() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the call writes `limit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    let had = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the call reads `limit`.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        let why = std::io::Error::last_os_error();
        tracing::debug!(%why, "the limit of open files is as it was");
        limit.rlim_cur = had;
    }
    ROOM.store(limit.rlim_cur / 2, Relaxed);
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::Kept;

    #[test]
    fn room_is_given_back() {
        let open = || File::open("/dev/null").unwrap();
        // Far more than there is room for, of which others in this process may hold some.
        let mut kept = Vec::new();
        while let Some(one) = Kept::new(open()) {
            kept.push(one);
            assert!(kept.len() <= 128);
        }
        assert!(!kept.is_empty());
        drop(kept);
        assert!(Kept::new(open()).is_some());
    }
}
