//! `image`: builds the images of the agent and the server, FROM scratch with one static program
//! each.
//!
//! Uses Docker's legacy builder, which needs no plugin and no network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::build::{self, Profile, program};
use crate::command::{run as run_command, say};
use crate::docker::Daemon;
use crate::project;

/// The folder of a Dockerfile, and the common name of the image and its program.
type Image = (&'static str, &'static str);

const SHIPPED: &[Image] = &[("agent", "bubble-agent"), ("server", "bubble-server")];
/// The workload that the tests watch. It is not shipped.
const WORKLOAD: Image = ("xtask/workload", "bubble-workload");
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn run() -> Result<ExitCode> {
    let programs = build::programs(Profile::Release)?;
    let _daemon = Daemon::ensure()?;
    build_images(SHIPPED, &programs)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the shipped images and the workload's, with a daemon that already runs.
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
    // The server's image has an empty folder for its data.
    let data = context.join("data");
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", context.display()))?;
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
