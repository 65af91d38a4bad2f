//! Numbers of Slurm jobs whose cgroups are named by their sortable id (SLUID).
//!
//! slurmstepd, which runs in the cgroup of its step, has the number in its title:
//! `slurmstepd: [3385.batch]` (<https://slurm.schedmd.com/cgroup_v2.html>).

use std::fs;
use std::io;
use std::path::Path;

use super::error::is_exhausted;
use super::hierarchy::Hierarchies;

/// Maximum number of processes that are looked at.
const MAX_PROCESSES: usize = 16;

/// The number of the job with a step at `path`. `None`: slurmstepd is not there (yet).
///
/// # Errors
/// When the host has no descriptors or memory to look.
pub(super) fn job_number(
    hierarchies: &Hierarchies,
    proc: &Path,
    path: &str,
) -> io::Result<Option<String>> {
    let folder = hierarchies.primary().folder(path);
    for file in ["slurm/cgroup.procs", "cgroup.procs"] {
        let pids = unless_exhausted(fs::read(folder.join(file)))?;
        let pids = String::from_utf8_lossy(&pids).into_owned();
        for pid in pids.lines().take(MAX_PROCESSES) {
            let title = unless_exhausted(fs::read(proc.join(pid).join("cmdline")))?;
            if let Some(number) = of_title(&title) {
                return Ok(Some(number));
            }
        }
    }
    Ok(None)
}

/// A text; empty if it cannot be read, unless that may pass.
fn unless_exhausted(read: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    match read {
        Err(error) if is_exhausted(&error) => Err(error),
        read => Ok(read.unwrap_or_default()),
    }
}

/// The number in slurmstepd's title.
fn of_title(title: &[u8]) -> Option<String> {
    let title = std::str::from_utf8(title).ok()?;
    let (number, _) = title.strip_prefix("slurmstepd: [")?.split_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| number.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{job_number, of_title};
    use crate::container::hierarchy::Hierarchies;

    #[test]
    fn titles() {
        assert_eq!(
            of_title(b"slurmstepd: [3385.batch]\0").as_deref(),
            Some("3385")
        );
        for title in [
            &b"slurmstepd: [.0]"[..],
            b"slurmstepd: [x.0]",
            b"slurmstepd: [7",
            b"/usr/sbin/slurmstepd infinity",
            b"\xff",
            b"",
        ] {
            assert_eq!(of_title(title), None);
        }
    }

    #[test]
    fn the_number_of_a_step() {
        let folder = tempfile::tempdir().unwrap();
        let (cgroups, proc) = (folder.path().join("cgroup"), folder.path().join("proc"));
        let step = cgroups.join("slurmstepd.scope/sEKNKTV3WPV500/step_0");
        fs::create_dir_all(step.join("slurm")).unwrap();
        fs::create_dir_all(proc.join("12")).unwrap();
        fs::write(cgroups.join("cgroup.controllers"), "").unwrap();
        fs::write(step.join("slurm/cgroup.procs"), "11\n12\n").unwrap();
        fs::write(proc.join("12/cmdline"), "slurmstepd: [42.0]\0").unwrap();
        let hierarchies = Hierarchies::under(&cgroups).unwrap();
        let path = "/slurmstepd.scope/sEKNKTV3WPV500/step_0";
        let number = |path| job_number(&hierarchies, &proc, path).unwrap();
        assert_eq!(number(path).as_deref(), Some("42"));
        assert_eq!(number("/none"), None);
    }
}
