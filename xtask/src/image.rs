//! `image`: the images of the agent and the server, FROM scratch, since each is one static
//! program. The legacy builder is asked for by name: it needs no plugin and no network.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{
    build::{self, Profile, program},
    command::{run as run_command, say},
    docker::Daemon,
    project,
};

/// The folder of a Dockerfile, and what image and program are called.
type Image = (&'static str, &'static str);

const SHIPPED: &[Image] = &[("agent", "bubble-agent"), ("server", "bubble-server")];
/// What the tests watch.
const WORKLOAD: Image = ("xtask/workload", "bubble-workload");
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn run() -> Result<ExitCode> {
    let programs = build::programs(Profile::Release)?;
    let _daemon = Daemon::ensure()?;
    build_images(SHIPPED, &programs)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds all images that there are, by the daemon that answers.
pub(crate) fn build_with_workload(programs: &[PathBuf]) -> Result<()> {
    build_images(SHIPPED, programs)?;
    build_images(&[WORKLOAD], programs)
}

fn build_images(images: &[Image], programs: &[PathBuf]) -> Result<()> {
    images
        .iter()
        .try_for_each(|(folder, name)| build_image(folder, name, program(programs, name)?))
}

fn build_image(folder: &str, name: &str, program: &Path) -> Result<()> {
    let context = project::target().join("image").join(name);
    fs::create_dir_all(&context).with_context(|| format!("cannot make {}", context.display()))?;
    fs::copy(program, context.join(name))
        .with_context(|| format!("cannot copy {}", program.display()))?;
    let tags = [format!("{name}:{VERSION}"), format!("{name}:latest")];
    let mut command = Command::new("docker");
    command
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--quiet"]);
    for tag in &tags {
        command.args(["--tag", tag]);
    }
    run_command(
        command
            .arg("--file")
            .arg(project::root().join(folder).join("Dockerfile"))
            .arg(&context),
    )?;
    say(format!("built the image {}", tags.join(" and ")));
    Ok(())
}
