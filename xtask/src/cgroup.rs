//! The host's cgroups: finding containers, and creating a cgroup for a workload.
//!
//! A new cgroup is created in every hierarchy, like that of a container.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use anyhow::{Context as _, Result, bail};

use crate::command::say;

/// Maximum number of cgroups of one name.
const MAX_SIBLINGS: u32 = 99;

/// Length of a container's id in names of cgroups. It is the same for all runtimes.
const ID_LENGTH: usize = 64;

/// Whether any cgroup on this host is named after a container's id.
pub(crate) fn any_container() -> Result<bool> {
    Ok(hierarchies()?
        .iter()
        .any(|mount| holds_container(&mount.path)))
}

fn holds_container(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .any(|entry| {
            is_container(&entry.file_name().to_string_lossy()) || holds_container(&entry.path())
        })
}

fn is_container(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_hexdigit())
        .any(|word| word.len() == ID_LENGTH)
}

struct Hierarchy {
    path: PathBuf,
    unified: bool,
}

fn hierarchies() -> Result<Vec<Hierarchy>> {
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    Ok(parse_mounts(&mounts))
}

/// Parses lines of `device path type options …`. Leaves out cpuset of cgroup v1: it refuses tasks
/// until it is configured, and the agent does not need it.
fn parse_mounts(mounts: &str) -> Vec<Hierarchy> {
    let hierarchy = |line: &str| {
        let mut words = line.split(' ');
        let (path, kind, options) = (words.nth(1)?, words.next()?, words.next()?);
        let unified = kind == "cgroup2";
        let usable = unified || (kind == "cgroup" && !options.split(',').any(|o| o == "cpuset"));
        usable.then(|| Hierarchy {
            path: PathBuf::from(path),
            unified,
        })
    };
    mounts.lines().filter_map(hierarchy).collect()
}

/// A cgroup in every hierarchy. Dropping it kills its processes and removes it.
pub(crate) struct Cgroup {
    path: String,
    folders: Vec<PathBuf>,
    unified: Option<PathBuf>,
}

impl Cgroup {
    /// Creates an unused cgroup: `/NAME`, or else `/NAME-2` and so on.
    pub(crate) fn create(name: &str) -> Result<Self> {
        for number in 1..=MAX_SIBLINGS {
            let path = match number {
                1 => format!("/{name}"),
                _ => format!("/{name}-{number}"),
            };
            if let Some(group) = Self::create_at(path)? {
                return Ok(group);
            }
        }
        bail!("the cgroups /{name} to /{name}-{MAX_SIBLINGS} are all in use: remove one");
    }

    /// Creates the cgroup at a path from the root of each hierarchy. `None`: it exists already.
    fn create_at(path: String) -> Result<Option<Self>> {
        let mut group = Self {
            path,
            folders: Vec::new(),
            unified: None,
        };
        for hierarchy in hierarchies()? {
            let folder = hierarchy.path.join(group.path.trim_start_matches('/'));
            // Removes an empty one, which a killed command left behind.
            let _ = fs::remove_dir(&folder);
            match fs::create_dir(&folder) {
                Ok(()) => {}
                // A hierarchy can be mounted twice.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if group.folders.is_empty() {
                        return Ok(None);
                    }
                }
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot create the cgroup {}", folder.display()));
                }
            }
            if hierarchy.unified {
                group.unified = Some(folder.clone());
            }
            group.folders.push(folder);
        }
        if group.folders.is_empty() {
            bail!("no cgroups are mounted");
        }
        Ok(Some(group))
    }

    /// Its path from the root of each hierarchy.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Limits memory, without swap. Returns whether the kernel accepted the limit.
    pub(crate) fn limit_memory(&self, bytes: u64) -> bool {
        let write = |folder: &Path, file: &str, value: u64| {
            let path = folder.join(file);
            path.exists() && fs::write(path, value.to_string()).is_ok()
        };
        let mut limited = false;
        for folder in &self.folders {
            limited |=
                write(folder, "memory.max", bytes) || write(folder, "memory.limit_in_bytes", bytes);
            // Absent where the kernel does not count swap.
            let _ = write(folder, "memory.swap.max", 0);
            let _ = write(folder, "memory.memsw.limit_in_bytes", bytes);
        }
        limited
    }

    /// Shell commands that move the shell, and so its later children, into the cgroup.
    pub(crate) fn script(&self) -> String {
        let enter = |path: PathBuf| format!("echo $$ >'{}' || exit\n", path.display());
        self.procs_files().map(enter).collect()
    }

    fn procs_files(&self) -> impl Iterator<Item = PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join("cgroup.procs"))
    }

    fn processes(&self) -> String {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        self.procs_files().map(read).collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Kills all processes in it. The file exists since Linux 5.14; before, they end by
        // themselves soon.
        if let Some(unified) = &self.unified {
            let _ = fs::write(unified.join("cgroup.kill"), "1");
        }
        for _ in 0..100 {
            if self.processes().is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        for folder in &self.folders {
            // If a hierarchy is mounted twice, the folder is already removed under its other name.
            if let Err(error) = fs::remove_dir(folder)
                && error.kind() != io::ErrorKind::NotFound
            {
                say(format!(
                    "cannot remove the cgroup {}: {error}",
                    folder.display()
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_container, parse_mounts};

    #[test]
    fn container_ids_are_found_in_the_names_of_each_runtime() {
        let id = "0123456789abcdef".repeat(4);
        assert!(is_container(&id));
        assert!(is_container(&format!("docker-{id}.scope")));
        assert!(is_container(&format!("cri-containerd:{id}")));
        assert!(!is_container("system.slice"));
        assert!(!is_container(&id[1..]));
    }

    #[test]
    fn cpuset_is_not_used() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
            cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n\
            cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let found: Vec<_> = parse_mounts(mounts)
            .into_iter()
            .map(|one| (one.path.display().to_string(), one.unified))
            .collect();
        assert_eq!(
            found,
            [
                ("/sys/fs/cgroup/memory".to_owned(), false),
                ("/sys/fs/cgroup/unified".to_owned(), true)
            ]
        );
    }
}
