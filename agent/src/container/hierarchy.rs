//! The trees of cgroups that this host has, and where they can be read.
//!
//! There is one tree on pure cgroup v2, one for each controller on v1, and both
//! kinds side by side on hybrid hosts. One of them, the *primary*, tells processes
//! and containers apart: its ids are those that the kernel side reports. The others
//! are only read for their figures.
//!
//! In a container with a cgroup namespace of its own a mount shows a part of a tree
//! only. The kernel opens a cgroup by its number all the same, for those who may
//! (`CAP_DAC_READ_SEARCH`, so with `docker run --privileged`), and the number of a
//! root is 1: so the whole tree is read through a descriptor of its root.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The number of the cgroup at the root of every hierarchy.
const ROOT_ID: u64 = 1;

/// What a tree of cgroups is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The one of cgroup v2.
    Unified,
    /// One of cgroup v1, with these controllers (`name=systemd` where it has none).
    V1(Vec<String>),
}

/// One tree of cgroups.
#[derive(Debug)]
pub struct Hierarchy {
    /// What it is for.
    pub kind: Kind,
    /// A folder that is its root.
    pub root: PathBuf,
    /// Where the cgroup namespace of the agent begins, when that is not at `root`: the kernel
    /// tells the paths of processes from there.
    base: Option<String>,
    /// Keeps `root` good where it is a descriptor.
    _descriptor: Option<OwnedFd>,
}

/// All trees of cgroups of a host.
#[derive(Debug)]
pub struct Hierarchies {
    all: Vec<Hierarchy>,
    primary: usize,
}

/// Why the cgroups of this host cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HierarchyError {
    /// A file that lists mounts could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is none.
    #[error("no cgroups are mounted in {0}: mount them (in a container: run it with --privileged)")]
    None(PathBuf),
    /// What is mounted is the agent's own part of the tree.
    #[error(
        "{path} shows the agent's own cgroups only, and not the host's ({source}): run the agent's container with --privileged, or with --cgroupns host"
    )]
    Partial {
        /// The mount.
        path: PathBuf,
        /// Why the rest cannot be opened.
        source: io::Error,
    },
}

impl Hierarchies {
    /// The trees that are mounted, by `proc`/self/mountinfo.
    ///
    /// # Errors
    /// When there is none, or none that can be read from its root.
    pub fn mounted(proc: &Path) -> Result<Self, HierarchyError> {
        let path = proc.join("self/mountinfo");
        let mounts = fs::read_to_string(&path).map_err(|source| HierarchyError::Read {
            path: path.clone(),
            source,
        })?;
        let mut all: Vec<Hierarchy> = Vec::new();
        let mut refused = None;
        for (kind, folder) in mounts.lines().filter_map(parse_mount) {
            if all.iter().any(|known| known.kind == kind) {
                continue;
            }
            match open_root(&folder) {
                Ok((root, descriptor)) => {
                    let own = descriptor.is_some() && !in_first_namespace(proc);
                    let base = own.then(|| find(&root, &folder)).flatten();
                    all.push(Hierarchy {
                        kind,
                        root,
                        base,
                        _descriptor: descriptor,
                    });
                }
                Err(source) => {
                    refused.get_or_insert(HierarchyError::Partial {
                        path: folder,
                        source,
                    });
                }
            }
        }
        match refused {
            Some(refused) if all.is_empty() => Err(refused),
            _ => {
                Self::new(all).ok_or_else(|| HierarchyError::None(PathBuf::from("/sys/fs/cgroup")))
            }
        }
    }

    /// The trees below `folder`, laid out as in /sys/fs/cgroup.
    ///
    /// # Errors
    /// When there is none.
    pub fn under(folder: &Path) -> Result<Self, HierarchyError> {
        let hierarchy = |kind, root: PathBuf| Hierarchy {
            kind,
            root,
            base: None,
            _descriptor: None,
        };
        let is_unified = |folder: &Path| folder.join("cgroup.controllers").exists();
        let mut all = Vec::new();
        if is_unified(folder) {
            all.push(hierarchy(Kind::Unified, folder.to_owned()));
        } else {
            let entries = fs::read_dir(folder).map_err(|source| HierarchyError::Read {
                path: folder.to_owned(),
                source,
            })?;
            let mut folders: Vec<PathBuf> = entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_dir() && !path.is_symlink())
                .collect();
            folders.sort();
            for path in folders {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let kind = if is_unified(&path) {
                    Kind::Unified
                } else if path.join("cgroup.procs").exists() {
                    let named = |name: &str| match name {
                        "systemd" => "name=systemd".to_owned(),
                        name => name.to_owned(),
                    };
                    Kind::V1(name.split(',').map(named).collect())
                } else {
                    continue;
                };
                all.push(hierarchy(kind, path));
            }
        }
        Self::new(all).ok_or_else(|| HierarchyError::None(folder.to_owned()))
    }

    fn new(all: Vec<Hierarchy>) -> Option<Self> {
        let unified = all.iter().position(|one| one.kind == Kind::Unified);
        // On v1 alone: the controllers that every runtime uses, before the others.
        let v1 = || {
            ["pids", "memory", "cpuacct", "devices", "name=systemd"]
                .into_iter()
                .find_map(|controller| all.iter().position(|one| one.has(controller)))
        };
        let primary = unified.or_else(v1).or((!all.is_empty()).then_some(0))?;
        Some(Self { all, primary })
    }

    /// The tree by which containers are told apart.
    pub fn primary(&self) -> &Hierarchy {
        &self.all[self.primary]
    }

    /// Makes another tree the primary one: that of v1, where runtimes leave the unified one alone.
    pub fn use_v1(&mut self) {
        if let Some(v1) = ["pids", "memory", "cpuacct", "devices"]
            .into_iter()
            .find_map(|controller| self.all.iter().position(|one| one.has(controller)))
        {
            self.primary = v1;
        }
    }

    /// Makes the tree of v2 the primary one, where there is one.
    pub fn use_unified(&mut self) {
        if let Some(unified) = self.all.iter().position(|one| one.kind == Kind::Unified) {
            self.primary = unified;
        }
    }

    /// The tree of cgroup v2, also on hybrid hosts.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.all.iter().find(|one| one.kind == Kind::Unified)
    }

    /// The v1 tree of a controller.
    pub fn v1(&self, controller: &str) -> Option<&Hierarchy> {
        self.all.iter().find(|one| one.has(controller))
    }

    /// `v1`, `v2` or `hybrid`.
    pub fn mode(&self) -> &'static str {
        let v1 = self.all.iter().any(|one| one.kind != Kind::Unified);
        match (self.unified().is_some(), v1) {
            (true, true) => "hybrid",
            (true, false) => "v2",
            _ => "v1",
        }
    }
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        matches!(&self.kind, Kind::V1(all) if all.iter().any(|one| one == controller))
    }

    /// Folder of the cgroup at `path` (from the root, beginning with a slash).
    pub fn folder(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Path of a process's cgroup in this tree, from its root, by the text of its /proc/PID/cgroup.
    pub fn path_of(&self, cgroup: &str) -> Option<String> {
        cgroup.lines().find_map(|line| {
            let (_, line) = line.split_once(':')?;
            let (controllers, path) = line.split_once(':')?;
            let mine = match &self.kind {
                Kind::Unified => controllers.is_empty(),
                Kind::V1(all) => controllers
                    .split(',')
                    .any(|one| all.iter().any(|own| own == one)),
            };
            mine.then(|| self.absolute(path))
        })
    }

    /// A path that is told from the namespace's root, told from the tree's.
    fn absolute(&self, path: &str) -> String {
        let Some(base) = &self.base else {
            return path.to_owned();
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in base.split('/').chain(path.split('/')) {
            match part {
                "" => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        format!("/{}", parts.join("/"))
    }
}

/// Kind and folder of a mount, when a line of mountinfo is one of cgroups.
fn parse_mount(line: &str) -> Option<(Kind, PathBuf)> {
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

/// Undoes what the kernel does to white space in a path of mountinfo.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

/// The root of the tree that is mounted at `folder`, whichever part of it the mount shows.
fn open_root(folder: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    if fs::metadata(folder)?.ino() == ROOT_ID {
        return Ok((folder.to_owned(), None));
    }
    let descriptor = open_by_id(folder, ROOT_ID)?;
    let root = PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    Ok((root, Some(descriptor)))
}

/// Whether the agent is in the host's own cgroup namespace.
fn in_first_namespace(proc: &Path) -> bool {
    /// `PROC_CGROUP_INIT_INO` of the kernel.
    const FIRST: &str = "cgroup:[4026531835]";
    fs::read_link(proc.join("self/ns/cgroup")).is_ok_and(|link| link.as_os_str() == FIRST)
}

/// The path, from `root`, of the cgroup that is mounted at `folder`.
fn find(root: &Path, folder: &Path) -> Option<String> {
    fn below(folder: &Path, path: &str, wanted: u64, depth: usize) -> Option<String> {
        fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                return None;
            }
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            if entry.ino() == wanted {
                return Some(path);
            }
            (depth > 0)
                .then(|| below(&entry.path(), &path, wanted, depth - 1))
                .flatten()
        })
    }
    below(root, "", fs::metadata(folder).ok()?.ino(), 32)
}

/// Opens the cgroup with this number, of the tree that is mounted at `folder`.
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
    // SAFETY: the handle is laid out as the kernel's `struct file_handle` followed by the number
    // of bytes it says, and lives over the call.
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
    // SAFETY: the kernel has just given this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as libc::c_int) })
}

#[cfg(test)]
mod tests {
    use super::{Hierarchies, Hierarchy, HierarchyError, Kind, find, parse_mount};
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn lines_of_mountinfo() {
        let line =
            "44 31 0:41 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(
            parse_mount(line),
            Some((Kind::Unified, PathBuf::from("/sys/fs/cgroup/unified")))
        );
        let line =
            "32 31 0:29 /docker/x /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
        let kind = Kind::V1(vec!["cpu".to_owned(), "cpuacct".to_owned()]);
        assert_eq!(
            parse_mount(line),
            Some((kind, PathBuf::from("/sys/fs/cgroup/cpu,cpuacct")))
        );
        let line = "41 31 0:38 / /a\\040b rw shared:9 - cgroup cgroup rw,xattr,name=systemd";
        let kind = Kind::V1(vec!["name=systemd".to_owned()]);
        assert_eq!(parse_mount(line), Some((kind, PathBuf::from("/a b"))));
        for line in [
            "",
            "-",
            " - ",
            "1 2 3 - cgroup",
            "23 1 0:5 / /proc rw - proc proc rw",
        ] {
            assert_eq!(parse_mount(line), None);
        }
    }

    #[test]
    fn layouts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(matches!(
            Hierarchies::under(root),
            Err(HierarchyError::None(_))
        ));

        for name in ["memory", "pids", "cpu,cpuacct", "systemd"] {
            fs::create_dir(root.join(name)).unwrap();
            fs::write(root.join(name).join("cgroup.procs"), "").unwrap();
        }
        let v1 = Hierarchies::under(root).unwrap();
        assert_eq!((v1.mode(), &v1.primary().root), ("v1", &root.join("pids")));
        assert_eq!(v1.v1("cpuacct").unwrap().root, root.join("cpu,cpuacct"));

        fs::create_dir(root.join("unified")).unwrap();
        fs::write(root.join("unified/cgroup.controllers"), "").unwrap();
        let mut hybrid = Hierarchies::under(root).unwrap();
        assert_eq!(
            (hybrid.mode(), &hybrid.primary().kind),
            ("hybrid", &Kind::Unified)
        );
        let text = "3:pids:/docker/p\n1:name=systemd:/s\n0::/docker/u\n";
        assert_eq!(hybrid.primary().path_of(text).as_deref(), Some("/docker/u"));
        hybrid.use_v1();
        assert_eq!(hybrid.primary().path_of(text).as_deref(), Some("/docker/p"));

        fs::write(root.join("cgroup.controllers"), "").unwrap();
        assert_eq!(Hierarchies::under(root).unwrap().mode(), "v2");
    }

    #[test]
    fn paths_told_from_a_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("docker/agent");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(
            find(folder.path(), &inner).as_deref(),
            Some("/docker/agent")
        );
        let tree = Hierarchy {
            kind: Kind::Unified,
            root: folder.path().to_owned(),
            base: find(folder.path(), &inner),
            _descriptor: None,
        };
        for (told, path) in [
            ("/", "/docker/agent"),
            ("/below", "/docker/agent/below"),
            ("/../other", "/docker/other"),
            ("/../../system.slice/x.service", "/system.slice/x.service"),
            ("/../../../../..", "/"),
        ] {
            assert_eq!(tree.path_of(&format!("0::{told}\n")).as_deref(), Some(path));
        }
    }

    #[test]
    fn hostile_lines_of_a_process() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.controllers"), "").unwrap();
        let unified = Hierarchies::under(folder.path()).unwrap();
        for text in ["", ":", "0", "0:", "x\n\n::", "0:a:/b"] {
            let path = unified.primary().path_of(text);
            assert!(path.is_none_or(|path| path.is_empty()), "{text:?}");
        }
    }
}
