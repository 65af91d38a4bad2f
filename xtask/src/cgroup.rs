//! The host's cgroups: whether a container runs, and a group of our own for a workload, in every
//! hierarchy, so that it has all that a container's cgroup has.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::command::say;

/// Length of a container's id in the names of the cgroups of every runtime.
const ID: usize = 64;

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
        .any(|word| word.len() == ID)
}

struct Hierarchy {
    path: PathBuf,
    unified: bool,
}

fn hierarchies() -> Result<Vec<Hierarchy>> {
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    Ok(parse(&mounts))
}

/// Lines of `device path type options …`. Of the v1 hierarchies `cpuset` refuses tasks until it is
/// set up, and the agent does not need it.
fn parse(mounts: &str) -> Vec<Hierarchy> {
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

/// A cgroup of ours, in every hierarchy; ended and removed with this.
pub(crate) struct Cgroup {
    folders: Vec<PathBuf>,
    unified: Option<PathBuf>,
}

impl Cgroup {
    /// Makes the cgroup; the name is its path from the root of each hierarchy.
    pub(crate) fn create(name: &str) -> Result<Self> {
        let mut group = Self {
            folders: Vec::new(),
            unified: None,
        };
        for hierarchy in hierarchies()? {
            let folder = hierarchy.path.join(name.trim_start_matches('/'));
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make the cgroup {}", folder.display()))?;
            if hierarchy.unified {
                group.unified = Some(folder.clone());
            }
            group.folders.push(folder);
        }
        if group.folders.is_empty() {
            bail!("no cgroups are mounted: mount them, or start a container");
        }
        Ok(group)
    }

    /// Shell commands by which a shell moves there, and so all that it starts afterwards.
    pub(crate) fn script(&self) -> String {
        let enter = |path: PathBuf| format!("echo $$ >'{}' || exit\n", path.display());
        self.entrances().map(enter).collect()
    }

    fn entrances(&self) -> impl Iterator<Item = PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join("cgroup.procs"))
    }

    fn processes(&self) -> String {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        self.entrances().map(read).collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Whoever is in there we started. Before 5.14 there is no such file: those left end by
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
            // A hierarchy that is mounted twice lost it by its other name.
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
    use super::{is_container, parse};

    #[test]
    fn container_ids_are_seen_in_the_names_of_each_runtime() {
        let id = "0123456789abcdef".repeat(4);
        assert!(is_container(&id));
        assert!(is_container(&format!("docker-{id}.scope")));
        assert!(is_container(&format!("cri-containerd:{id}")));
        assert!(!is_container("system.slice"));
        assert!(!is_container(&id[1..]));
    }

    #[test]
    fn hierarchies_are_those_that_take_tasks() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
            cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n\
            cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let found: Vec<_> = parse(mounts)
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
