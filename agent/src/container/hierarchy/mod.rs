//! The cgroup hierarchies of this host.
//!
//! Cgroup v2 has one hierarchy, v1 has one for each set of controllers, hybrid hosts have
//! both kinds. The *primary* one identifies containers: the kernel side reports its cgroup
//! ids. The others are only read for their figures.

mod mount;

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

pub use mount::Kind;
use mount::{find, in_first_namespace, mounted_part, open_root, parse_mount};

use crate::container::error::is_exhausted;

/// One hierarchy of cgroups.
#[derive(Debug)]
pub struct Hierarchy {
    /// Its version and controllers.
    pub kind: Kind,
    /// Folder of its root.
    pub root: PathBuf,
    /// Root of the agent's cgroup namespace, when that is not `root`: the kernel writes the
    /// paths in /proc relative to it.
    base: Option<String>,
    /// Keeps `root` valid where it goes through a descriptor.
    _descriptor: Option<OwnedFd>,
}

/// Who can make a cgroup at a path: the owner of the cgroups above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Root alone.
    Root,
    /// This user, too.
    User(u32),
    /// One of the cgroups above is removed.
    Unknown,
}

/// All cgroup hierarchies of a host.
#[derive(Debug)]
pub struct Hierarchies {
    all: Vec<Hierarchy>,
    primary: usize,
}

/// Why the cgroups of this host cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HierarchyError {
    /// A file that lists mounts, or a cgroup, could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No cgroups are mounted.
    #[error("no cgroups are mounted in {0}: mount them (in a container: run it with --privileged)")]
    None(PathBuf),
    /// The mount shows only the agent's own part of the hierarchy.
    #[error(
        "{path} shows only the agent's own cgroups ({source}): run the agent's container with --privileged, or with --cgroupns host"
    )]
    Partial {
        /// The mount.
        path: PathBuf,
        /// Why the rest cannot be opened.
        source: io::Error,
    },
}

impl Hierarchies {
    /// The mounted hierarchies, by `proc`/self/mountinfo.
    ///
    /// # Errors
    /// When none is mounted, or no root can be opened.
    pub fn mounted(proc: &Path) -> Result<Self, HierarchyError> {
        let path = proc.join("self/mountinfo");
        let mounts = fs::read_to_string(&path).map_err(unread(&path))?;
        let mut all: Vec<Hierarchy> = Vec::new();
        let mut refused = None;
        for (kind, folder) in mounts.lines().filter_map(parse_mount) {
            if all.iter().any(|hierarchy| hierarchy.kind == kind) {
                continue;
            }
            match open_root(&folder) {
                Ok((root, descriptor)) => {
                    let own = descriptor.is_some() && !in_first_namespace(proc);
                    let base = match own {
                        true => find(&root, &folder).map_err(unread(&folder))?,
                        false => None,
                    };
                    all.push(Hierarchy {
                        kind,
                        root,
                        base,
                        _descriptor: descriptor,
                    });
                }
                // Without this hierarchy cgroups would have other ids.
                Err(source) if is_exhausted(&source) => return Err(unread(&folder)(source)),
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

    /// Each mounted hierarchy as far as this process sees it, with the path of its own cgroup there.
    ///
    /// # Errors
    /// When a file in `proc` cannot be read.
    pub fn visible(proc: &Path) -> Result<Vec<(Self, String)>, HierarchyError> {
        let read = |file: &str| {
            let path = proc.join(file);
            fs::read_to_string(&path).map_err(|source| HierarchyError::Read { path, source })
        };
        let (mounts, own) = (read("self/mountinfo")?, read("self/cgroup")?);
        let visible = mounts.lines().filter_map(|line| {
            let (kind, root) = parse_mount(line)?;
            let hierarchy = Hierarchy {
                kind: kind.clone(),
                root,
                base: None,
                _descriptor: None,
            };
            let part = mounted_part(line)?;
            let path = below(&hierarchy.path_of(&own)?, &part);
            Some((kind, part.len(), Self::new(vec![hierarchy])?, path))
        });
        // Of several mounts of one hierarchy, the one that shows most.
        let mut best: Vec<(Kind, usize, Self, String)> = Vec::new();
        for next in visible {
            match best.iter_mut().find(|known| known.0 == next.0) {
                Some(known) if next.1 < known.1 => *known = next,
                Some(_) => {}
                None => best.push(next),
            }
        }
        let best = best.into_iter();
        Ok(best
            .map(|(_, _, hierarchies, path)| (hierarchies, path))
            .collect())
    }

    /// No hierarchies, for processes that are not found by their cgroups.
    pub fn none() -> Self {
        let nowhere = Hierarchy {
            kind: Kind::V1(Vec::new()),
            root: PathBuf::new(),
            base: None,
            _descriptor: None,
        };
        Self {
            all: vec![nowhere],
            primary: 0,
        }
    }

    /// Whether there are no hierarchies.
    pub fn is_none(&self) -> bool {
        self.all.iter().all(|one| one.root.as_os_str().is_empty())
    }

    /// All hierarchies.
    pub fn all(&self) -> &[Hierarchy] {
        &self.all
    }

    /// The hierarchies below `folder`, laid out as in /sys/fs/cgroup.
    ///
    /// # Errors
    /// When none is found.
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
            let entries = fs::read_dir(folder).map_err(unread(folder))?;
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
        // On pure v1: a controller that every runtime uses, if there is one.
        let v1 = || {
            ["pids", "memory", "cpuacct", "devices", "name=systemd"]
                .into_iter()
                .find_map(|controller| all.iter().position(|one| one.has(controller)))
        };
        let primary = unified.or_else(v1).or((!all.is_empty()).then_some(0))?;
        Some(Self { all, primary })
    }

    /// The hierarchy that identifies containers.
    pub fn primary(&self) -> &Hierarchy {
        &self.all[self.primary]
    }

    /// Makes a v1 hierarchy the primary one, for hosts whose runtimes do not use v2.
    pub fn use_v1(&mut self) {
        if let Some(v1) = ["pids", "memory", "cpuacct", "devices"]
            .into_iter()
            .find_map(|controller| self.all.iter().position(|one| one.has(controller)))
        {
            self.primary = v1;
        }
    }

    /// Makes the v2 hierarchy the primary one, if it is mounted.
    pub fn use_unified(&mut self) {
        if let Some(unified) = self.all.iter().position(|one| one.kind == Kind::Unified) {
            self.primary = unified;
        }
    }

    /// The v2 hierarchy.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.all.iter().find(|one| one.kind == Kind::Unified)
    }

    /// The v1 hierarchy of a controller.
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
    /// Whether it is the v1 hierarchy of a controller.
    pub fn has(&self, controller: &str) -> bool {
        matches!(&self.kind, Kind::V1(all) if all.iter().any(|one| one == controller))
    }

    /// Folder of the cgroup at `path`, which is relative to the root and begins with a slash.
    pub fn folder(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Who can make the cgroup at `path`. Root gives the cgroups below some to a user, such as those of
    /// `user@1000.service`.
    pub fn maker(&self, path: &str) -> Maker {
        let owner = |folder: &str| fs::metadata(self.folder(folder)).ok().map(|it| it.uid());
        maker(path, owner("/").unwrap_or(0), owner)
    }

    /// Path of a process's cgroup in this hierarchy, from the text of its /proc/PID/cgroup.
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

    /// Converts a path relative to the namespace's root to one relative to the hierarchy's.
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

fn unread(path: &Path) -> impl FnOnce(io::Error) -> HierarchyError {
    move |source| HierarchyError::Read {
        path: path.to_owned(),
        source,
    }
}

/// The path below `root` of the cgroup at `path`. In a namespace of its own, where `path` is not below what
/// is mounted, the mount shows the namespace.
fn below(path: &str, root: &str) -> String {
    let root = root.trim_end_matches('/');
    let below = path.strip_prefix(root);
    let below = below.filter(|below| below.is_empty() || below.starts_with('/'));
    match below {
        Some("") => "/".to_owned(),
        Some(below) => below.to_owned(),
        None => path.to_owned(),
    }
}

/// Who can make the cgroup at `path`, by the owners of the cgroups above it. The root of the hierarchy
/// belongs to `root`.
fn maker(path: &str, root: u32, owner: impl Fn(&str) -> Option<u32>) -> Maker {
    let above = path.match_indices('/').map(|(end, _)| &path[..end]);
    for folder in above.filter(|folder| !folder.is_empty()) {
        match owner(folder) {
            Some(user) if user != 0 && user != root => return Maker::User(user),
            Some(_) => {}
            None => return Maker::Unknown,
        }
    }
    Maker::Root
}

#[cfg(test)]
mod tests;
