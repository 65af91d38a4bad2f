//! Where a run is counted: in a cgroup of its own, or, if it may not make one, as a tree of processes.

use std::path::Path;

use anyhow::{Context as _, Result};
use bubble_common::segment::ContainerId;

use super::cgroup::RunCgroup;
use super::flags::Flags;
use crate::container::hierarchy::Hierarchies;
use crate::container::rule::Found;
use crate::live::is_root;

/// Where a run is counted.
#[derive(Debug)]
pub(super) struct RunScope {
    /// The cgroups of the host; none if the run has no cgroup of its own.
    pub(super) hierarchies: Hierarchies,
    /// The cgroup of the run.
    pub(super) cgroup: Option<RunCgroup>,
    /// The container.
    pub(super) found: Found,
    /// What is not counted because of the scope, one sentence each.
    pub(super) missing: Vec<String>,
}

impl RunScope {
    /// Makes the cgroup of a run, if that is allowed.
    ///
    /// # Errors
    /// When the run cannot be identified.
    pub(super) fn find(flags: &Flags) -> Result<Self> {
        // The number of a process is used again, and ids of containers are for all time.
        let id = format!("run-{:016x}", rand::random::<u64>());
        let found = Found {
            id: ContainerId::new(&id).context("cannot name the run")?,
            full_id: None,
            runtime: "run",
            name: Some(name(flags)),
            pod: None,
            job: None,
            user: None,
            path: String::new(),
        };
        let (hierarchies, cgroup) = match Self::cgroup(&id) {
            Ok(made) => made,
            Err(why) => {
                let missing = vec![format!(
                    "figures of a cgroup (memory peak, pressure, disk): {why}; the processes that descend from the command are counted"
                )];
                return Ok(Self {
                    hierarchies: Hierarchies::none(),
                    cgroup: None,
                    found,
                    missing,
                });
            }
        };
        Ok(Self {
            found: Found {
                path: cgroup.path.clone(),
                ..found
            },
            missing: cgroup.missing.clone(),
            hierarchies,
            cgroup: Some(cgroup),
        })
    }

    /// The cgroup of the run `id`, or why it could not be made.
    fn cgroup(id: &str) -> Result<(Hierarchies, RunCgroup), String> {
        if !is_root() {
            return Err("the agent does not run as root, and may make none".to_owned());
        }
        let hierarchies = Hierarchies::mounted(Path::new("/proc")).map_err(|it| it.to_string())?;
        let own = std::fs::read_to_string("/proc/self/cgroup").map_err(|it| it.to_string())?;
        let cgroup = RunCgroup::create(&hierarchies, &own, &format!("bubble-{id}"));
        let cgroup = cgroup.map_err(|it| format!("cannot make one ({it})"))?;
        Ok((hierarchies, cgroup))
    }
}

/// Name of the run: as given, or that of the program.
fn name(flags: &Flags) -> String {
    flags.name.clone().unwrap_or_else(|| {
        let program = flags.command.first().map(Path::new);
        let program = program.and_then(Path::file_name);
        program
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_else(|| "run".to_owned())
    })
}
