//! Runs the workload in containers: by Docker, or in plain cgroups if there is no Docker.

pub(crate) mod cgroup;
mod docker;
mod runner;
mod usage;

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

pub use self::cgroup::{Moved, run_as_user, run_lives_as_docker, run_moved_as_docker};
pub use self::runner::{Finished, Runner, Running, Spec};

/// The runner from the environment, or the first one that works here.
///
/// # Errors
/// If none works.
pub fn runner(folder: &Path) -> Result<Box<dyn Runner>> {
    let docker_answers = || {
        let docker = Command::new("docker").arg("info").output();
        docker.is_ok_and(|output| output.status.success())
    };
    match env::var("BUBBLE_RUNNER").as_deref() {
        Ok("docker") => Ok(Box::new(docker::Docker::new(folder)?)),
        Ok("cgroup") => Ok(Box::new(cgroup::Cgroups::new(folder)?)),
        Ok(other) => bail!("BUBBLE_RUNNER={other}: expected docker or cgroup"),
        Err(_) if docker_answers() => Ok(Box::new(docker::Docker::new(folder)?)),
        Err(_) => Ok(Box::new(cgroup::Cgroups::new(folder)?)),
    }
}
