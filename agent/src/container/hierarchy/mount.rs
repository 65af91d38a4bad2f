//! Mounts of cgroup hierarchies, and how their roots are opened.
//!
//! In a container with its own cgroup namespace a mount shows only a part of the hierarchy.
//! With `CAP_DAC_READ_SEARCH` (`docker run --privileged`) the kernel still opens any cgroup by
//! its id. The root's id is 1, so the whole hierarchy is read through a descriptor of its root.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::container::error::is_absent;

/// Id (inode number) of the root of every hierarchy.
const ROOT_ID: u64 = 1;
/// Maximum depth of a cgroup that is searched.
const MAX_DEPTH: usize = 32;

/// Version and controllers of a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Cgroup v2.
    Unified,
    /// Cgroup v1 with these controllers (`name=systemd` where it has none).
    V1(Vec<String>),
}

/// Kind and folder of a cgroup mount. `None` for other lines of mountinfo.
pub(super) fn parse_mount(line: &str) -> Option<(Kind, PathBuf)> {
    let (mount, rest) = line.split_once(" - ")?;
    let folder = PathBuf::from(unescape(mount.split(' ').nth(4)?));
    let mut rest = rest.split(' ');
    match rest.next()? {
        "cgroup2" => Some((Kind::Unified, folder)),
        "cgroup" => {
            let options = rest.nth(1)?;
            let not_of_controllers = [
                "rw",
                "ro",
                "xattr",
                "noprefix",
                "clone_children",
                "cpuset_v2_mode",
                "favordynmods",
            ];
            let controllers: Vec<String> = options
                .split(',')
                .filter(|option| {
                    !not_of_controllers.contains(option) && !option.starts_with("release_agent=")
                })
                .map(str::to_owned)
                .collect();
            Some((Kind::V1(controllers), folder))
        }
        _ => None,
    }
}

/// The part of a hierarchy that a line of mountinfo mounts, as a path in it.
pub(super) fn mounted_part(line: &str) -> Option<String> {
    line.split(' ').nth(3).map(unescape)
}

/// Undoes the kernel's octal escapes in a path of mountinfo.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

/// Opens the root of the hierarchy mounted at `folder`, whichever part of it the mount shows.
pub(super) fn open_root(folder: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    if fs::metadata(folder)?.ino() == ROOT_ID {
        return Ok((folder.to_owned(), None));
    }
    let descriptor = open_by_id(folder, ROOT_ID)?;
    let root = PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    Ok((root, Some(descriptor)))
}

/// Whether the agent is in the host's cgroup namespace.
pub(super) fn in_first_namespace(proc: &Path) -> bool {
    /// `PROC_CGROUP_INIT_INO` of the kernel.
    const FIRST: &str = "cgroup:[4026531835]";
    fs::read_link(proc.join("self/ns/cgroup")).is_ok_and(|link| link.as_os_str() == FIRST)
}

/// Path, relative to `root`, of the cgroup that is mounted at `folder`. `None` if there is none.
///
/// # Errors
/// When it is not found, and a cgroup could not be read.
pub(super) fn find(root: &Path, folder: &Path) -> io::Result<Option<String>> {
    let mut search = Search {
        wanted: fs::metadata(folder)?.ino(),
        unread: None,
    };
    match (search.below(root, "", MAX_DEPTH), search.unread) {
        (None, Some(error)) => Err(error),
        (found, _) => Ok(found),
    }
}

/// A search for a cgroup.
struct Search {
    /// Its id.
    wanted: u64,
    /// Why a cgroup could not be read.
    unread: Option<io::Error>,
}

impl Search {
    fn below(&mut self, folder: &Path, path: &str, depth: usize) -> Option<String> {
        for entry in self.check(fs::read_dir(folder))? {
            let Some(entry) = self.check(entry) else {
                continue;
            };
            let kind = self.check(entry.file_type());
            if !kind.is_some_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            if entry.ino() == self.wanted {
                return Some(path);
            }
            if depth > 0
                && let Some(found) = self.below(&entry.path(), &path, depth - 1)
            {
                return Some(found);
            }
        }
        None
    }

    /// The value. `None` on an error, which is kept unless a cgroup was removed meanwhile.
    fn check<T>(&mut self, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if !is_absent(&error) {
                    self.unread = Some(error);
                }
                None
            }
        }
    }
}

/// Opens the cgroup with this id in the hierarchy mounted at `folder`.
fn open_by_id(folder: &Path, id: u64) -> io::Result<OwnedFd> {
    /// `struct file_handle` with the eight bytes that kernfs uses.
    #[repr(C)]
    struct Handle {
        bytes: libc::c_uint,
        kind: libc::c_int,
        id: [u8; 8],
    }
    /// `FILEID_KERNFS` of the kernel.
    const KERNFS: libc::c_int = 0xfe;

    let mount = File::open(folder)?;
    let mut handle = Handle {
        bytes: 8,
        kind: KERNFS,
        id: id.to_ne_bytes(),
    };
    // SAFETY: the handle has the layout of `struct file_handle` with `bytes` bytes behind it, and
    // outlives the call.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw mut handle,
            libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC,
        )
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as libc::c_int) })
}
