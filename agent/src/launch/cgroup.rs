//! The cgroup of one run: made before the command, removed after it.
//!
//! It is made where the limits of the caller's own cgroup still apply: below it, or beside it if it has
//! no limits. Beside it is better on cgroup v2, where a cgroup with processes gives its children no
//! controllers, and so no figures but CPU time.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::container::hierarchy::{Hierarchies, Hierarchy, Kind};
use crate::proc::unless_gone;

/// v1 controllers with figures of a run.
const V1_CONTROLLERS: [&str; 5] = ["cpuacct", "cpu", "memory", "pids", "blkio"];
/// Limits and weights of cgroup v2, with what they contain when none was set.
const V2_LIMITS: [(&str, &str); 8] = [
    ("cpu.max", "max"),
    ("cpu.weight", "100"),
    ("memory.max", "max"),
    ("memory.high", "max"),
    ("memory.swap.max", "max"),
    ("pids.max", "max"),
    ("cpuset.cpus", ""),
    ("io.max", ""),
];
/// The weight of a v1 cgroup if none was set.
const V1_SHARES: i64 = 1_024;
/// No limit of memory on v1 is below this; see also `totals/limits.rs`.
const V1_UNLIMITED: u64 = 1 << 62;
/// Attempts to remove a cgroup, which is busy for a moment after its last process ended.
const MAX_ATTEMPTS: u32 = 20;
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// The cgroup of a run, in each hierarchy. Dropping it removes it.
#[derive(Debug)]
pub(super) struct RunCgroup {
    /// Its path in the primary hierarchy, and all others that it is in.
    pub(super) path: String,
    /// Its folders, that of the primary hierarchy first.
    folders: Vec<PathBuf>,
    /// Where the caller is, in the same order.
    callers: Vec<PathBuf>,
    /// Its open files `cgroup.procs`.
    processes: Vec<File>,
    /// What the cgroup does not tell, one sentence each.
    pub(super) missing: Vec<String>,
}

impl RunCgroup {
    /// Makes a cgroup called `name`. `own` is the text of the caller's /proc/self/cgroup.
    ///
    /// # Errors
    /// When the primary hierarchy does not allow it.
    pub(super) fn create(hierarchies: &Hierarchies, own: &str, name: &str) -> io::Result<Self> {
        let primary = hierarchies.primary();
        let caller = primary.path_of(own).unwrap_or_else(|| "/".to_owned());
        let base = base(primary, &caller);
        let path = format!("{}/{name}", base.trim_end_matches('/'));
        let mut made = Self {
            path,
            folders: Vec::new(),
            callers: Vec::new(),
            processes: Vec::new(),
            missing: Vec::new(),
        };
        made.add(primary, &caller)?;
        for hierarchy in hierarchies.all() {
            let has = V1_CONTROLLERS.iter().any(|it| hierarchy.has(it));
            let is_primary = std::ptr::eq(hierarchy, primary);
            let (true, false, Some(caller)) = (has, is_primary, hierarchy.path_of(own)) else {
                continue;
            };
            if caller != base && !is_unlimited(hierarchy, &caller) {
                made.missing.push(format!(
                    "what only the cgroup controller {} knows: the run stays in {caller} there, so that its limits apply",
                    controllers(hierarchy)
                ));
            } else if let Err(error) = made.add(hierarchy, &caller) {
                made.missing.push(format!(
                    "what only the cgroup controller {} knows: cannot make a cgroup there ({error})",
                    controllers(hierarchy)
                ));
            }
        }
        let folder = primary.folder(&made.path);
        let has_memory = made.folders.iter().any(|folder| {
            folder.join("memory.current").exists() || folder.join("memory.usage_in_bytes").exists()
        });
        if primary.kind == Kind::Unified && !has_memory && made.missing.is_empty() {
            made.missing.push(format!(
                "memory, disk and pressure of the cgroup: {} has no controllers, as there are processes beside it or its parent has none",
                folder.display()
            ));
        }
        Ok(made)
    }

    fn add(&mut self, hierarchy: &Hierarchy, caller: &str) -> io::Result<()> {
        let folder = hierarchy.folder(&self.path);
        fs::create_dir(&folder)?;
        self.folders.push(folder.clone());
        let caller = hierarchy.folder(caller);
        match OpenOptions::new()
            .write(true)
            .open(folder.join("cgroup.procs"))
        {
            Ok(file) => {
                self.processes.push(file);
                self.callers.push(caller);
                Ok(())
            }
            Err(error) => {
                self.folders.pop();
                let _ = fs::remove_dir(folder);
                Err(error)
            }
        }
    }

    /// Descriptors of `cgroup.procs`: a process that writes 0 to each is in the cgroup.
    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        self.processes.iter().map(|file| file.as_raw_fd()).collect()
    }

    /// The processes in it and below that have not ended, as far as they can be read, and whether they all
    /// can.
    pub(super) fn processes(&self) -> (Vec<u32>, io::Result<()>) {
        let mut pids = Vec::new();
        let read = match self.folders.first() {
            Some(folder) => collect(folder, &mut pids),
            None => Ok(()),
        };
        // v1 lists those that wait for their parent.
        pids.retain(|pid| !is_zombie(*pid));
        (pids, read)
    }

    /// Whether no process runs in it or below. If a cgroup below cannot be read, the kernel's own note
    /// decides (v2); without it, processes may still run.
    pub(super) fn is_empty(&self) -> bool {
        match self.processes() {
            (left, Ok(())) => left.is_empty(),
            (_, Err(_)) => self.is_unpopulated(),
        }
    }

    fn is_unpopulated(&self) -> bool {
        let Some(folder) = self.folders.first() else {
            return false;
        };
        let events = fs::read_to_string(folder.join("cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|line| line == "populated 0"))
    }

    /// Removes it. Processes that still run in it return to the caller's cgroup.
    pub(super) fn remove(&mut self) {
        for (folder, caller) in self.folders.iter().zip(&self.callers) {
            for attempt in 0..MAX_ATTEMPTS {
                if attempt > 0 {
                    sleep(RETRY_DELAY);
                }
                let mut pids = Vec::new();
                // With processes that were not read it is not removed, so the next attempt reads again.
                let _ = collect(folder, &mut pids);
                for pid in pids {
                    // It may have ended by now.
                    let _ = fs::write(caller.join("cgroup.procs"), pid.to_string());
                }
                if remove_tree(folder) {
                    break;
                }
                if attempt + 1 == MAX_ATTEMPTS {
                    tracing::warn!("cannot remove the cgroup {}", folder.display());
                }
            }
        }
        self.folders.clear();
    }
}

impl Drop for RunCgroup {
    fn drop(&mut self) {
        self.remove();
    }
}

fn controllers(hierarchy: &Hierarchy) -> String {
    match &hierarchy.kind {
        Kind::Unified => "of v2".to_owned(),
        Kind::V1(names) => names.join(","),
    }
}

/// The path of the cgroup below which that of the run is made.
fn base(hierarchy: &Hierarchy, caller: &str) -> String {
    let gives = |path: &str| {
        let file = hierarchy.folder(path).join("cgroup.subtree_control");
        fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|it| it == "memory"))
    };
    let above = match caller.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((above, _)) => above,
        None => "/",
    };
    let beside = hierarchy.kind == Kind::Unified
        && caller != "/"
        && !gives(caller)
        && gives(above)
        && is_unlimited_at(hierarchy, caller);
    if beside { above } else { caller }.to_owned()
}

/// Whether neither the cgroup at `path` nor one above has a limit or a weight.
fn is_unlimited(hierarchy: &Hierarchy, path: &str) -> bool {
    let mut path = path;
    while !path.is_empty() && path != "/" {
        if !is_unlimited_at(hierarchy, path) {
            return false;
        }
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
    true
}

/// Whether the cgroup at `path` has no limit and no weight of its own. One that cannot be read may have.
fn is_unlimited_at(hierarchy: &Hierarchy, path: &str) -> bool {
    has_no_limits(hierarchy, path).unwrap_or(false)
}

fn has_no_limits(hierarchy: &Hierarchy, path: &str) -> io::Result<bool> {
    let folder = hierarchy.folder(path);
    let text = |file: &str| unless_absent(fs::read_to_string(folder.join(file)));
    if hierarchy.kind == Kind::Unified {
        for (file, none) in V2_LIMITS {
            let text = text(file)?;
            let first = text.as_deref().map(|it| it.split_whitespace().next());
            if first.is_some_and(|it| it.unwrap_or_default() != none) {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let number =
        |file: &str| io::Result::Ok(text(file)?.and_then(|it| it.trim().parse::<i64>().ok()));
    let memory = number("memory.limit_in_bytes")?.and_then(|it| u64::try_from(it).ok());
    let is_free = |file: &str| {
        let text = text(file)?;
        io::Result::Ok(text.is_none_or(|it| it.trim().is_empty() || it.trim() == "max"))
    };
    Ok(number("cpu.cfs_quota_us")?.is_none_or(|quota| quota < 0)
        && number("cpu.shares")?.is_none_or(|shares| shares == V1_SHARES)
        && memory.is_none_or(|bytes| bytes >= V1_UNLIMITED)
        && is_free("pids.max")?
        && is_free("blkio.throttle.read_bps_device")?
        && is_free("blkio.throttle.write_bps_device")?)
}

/// Adds the processes of a cgroup and of those below it.
///
/// # Errors
/// The last one. The processes that can be read are added.
fn collect(folder: &Path, pids: &mut Vec<u32>) -> io::Result<()> {
    let text = unless_absent(fs::read_to_string(folder.join("cgroup.procs")));
    let mut result = text.map(|text| {
        let text = text.unwrap_or_default();
        pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    });
    let (below, read) = children(folder);
    result = result.and(read);
    for below in below {
        let read = collect(&below, pids);
        result = result.and(read);
    }
    result
}

/// The cgroups below one, as far as they can be read.
fn children(folder: &Path) -> (Vec<PathBuf>, io::Result<()>) {
    let mut folders = Vec::new();
    let mut read = || {
        for entry in unless_absent(fs::read_dir(folder))?.into_iter().flatten() {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        Ok(())
    };
    let read = read();
    (folders, read)
}

/// `None` if a file or folder does not exist, or lists no processes because its cgroup is threaded.
fn unless_absent<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || [libc::ENODEV, libc::EOPNOTSUPP]
                    .map(Some)
                    .contains(&error.raw_os_error()) =>
        {
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Removes a cgroup with those below it. Returns whether it is gone.
fn remove_tree(folder: &Path) -> bool {
    for below in children(folder).0 {
        remove_tree(&below);
    }
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn is_zombie(pid: u32) -> bool {
    let stat = match unless_gone(fs::read(format!("/proc/{pid}/stat"))) {
        Ok(stat) => stat.unwrap_or_default(),
        // It may still run.
        Err(_) => return false,
    };
    let stat = String::from_utf8_lossy(&stat);
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    // Without a state it has ended.
    state.is_none_or(|rest| rest.starts_with('Z') || rest.starts_with('X'))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{RunCgroup, base, is_unlimited};
    use crate::container::hierarchy::Hierarchies;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    fn unified(root: &Path) -> Hierarchies {
        write(
            root,
            &[
                ("cgroup.controllers", "cpu memory"),
                ("cgroup.subtree_control", ""),
            ],
        );
        Hierarchies::under(root).unwrap()
    }

    #[test]
    fn a_run_is_beside_its_caller_if_no_limit_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let hierarchies = unified(root.path());
        let primary = hierarchies.primary();
        let slice = root.path().join("user.slice");
        write(&slice, &[("cgroup.subtree_control", "memory pids")]);
        let scope = slice.join("session.scope");
        write(
            &scope,
            &[("memory.max", "max\n"), ("cpu.max", "max 100000\n")],
        );
        assert_eq!(base(primary, "/user.slice/session.scope"), "/user.slice");
        assert!(is_unlimited(primary, "/user.slice/session.scope"));
        for (file, limit) in [
            ("memory.max", "1000\n"),
            ("cpu.max", "5 10\n"),
            ("cpuset.cpus", "0\n"),
        ] {
            let before = fs::read_to_string(scope.join(file)).unwrap_or("\n".to_owned());
            fs::write(scope.join(file), limit).unwrap();
            let below = "/user.slice/session.scope";
            assert_eq!(base(primary, below), below, "{file}");
            assert!(!is_unlimited(primary, below), "{file}");
            fs::write(scope.join(file), before).unwrap();
        }
        // A cgroup that gives its children no controllers is no better.
        fs::write(slice.join("cgroup.subtree_control"), "pids").unwrap();
        assert_eq!(
            base(primary, "/user.slice/session.scope"),
            "/user.slice/session.scope"
        );
        assert_eq!(base(primary, "/"), "/");
    }

    #[test]
    fn processes_that_cannot_be_read_still_run() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run");
        let own = format!("{}\n", std::process::id());
        write(&folder, &[("cgroup.procs", &own)]);
        let run = RunCgroup {
            path: "/run".to_owned(),
            folders: vec![folder.clone()],
            callers: Vec::new(),
            processes: Vec::new(),
            missing: Vec::new(),
        };
        // A folder cannot be read as a file, even by root.
        let below = folder.join("below/cgroup.procs");
        fs::create_dir_all(&below).unwrap();
        let (pids, read) = run.processes();
        assert_eq!(pids, [std::process::id()]);
        read.unwrap_err();
        assert!(!run.is_empty());
        for (events, is_empty) in [("populated 1", false), ("populated 0", true)] {
            write(
                &folder,
                &[("cgroup.events", &format!("{events}\nfrozen 0\n"))],
            );
            assert_eq!(run.is_empty(), is_empty, "{events}");
        }
        fs::remove_dir(&below).unwrap();
        assert!(!run.is_empty(), "its process is listed");
        run.processes().1.unwrap();
    }

    #[test]
    fn a_limit_that_cannot_be_read_is_a_limit() {
        let root = tempfile::tempdir().unwrap();
        let hierarchies = unified(root.path());
        let folder = root.path().join("c");
        fs::create_dir_all(folder.join("memory.max")).unwrap();
        assert!(!is_unlimited(hierarchies.primary(), "/c"));
        fs::remove_dir(folder.join("memory.max")).unwrap();
        assert!(is_unlimited(hierarchies.primary(), "/c"));
    }

    #[test]
    fn a_cgroup_that_cannot_be_entered_is_not_left_behind() {
        let root = tempfile::tempdir().unwrap();
        let hierarchies = unified(root.path());
        // A folder that is no cgroup has no `cgroup.procs`.
        assert!(RunCgroup::create(&hierarchies, "0::/\n", "run").is_err());
        assert!(!root.path().join("run").exists());
    }
}
