//! `build`: builds the agent, the server and the workload as static programs.
//!
//! They run on any x86-64 Linux: in an image FROM scratch, in a guest without a C library, on an
//! old host.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::command::{cargo, run as run_command, say, shown};
use crate::{flags, project, ui};

/// The programs that are built.
const PROGRAMS: &[&str] = &["bubble-agent", "bubble-server", "bubble-workload"];

/// Cargo's profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to compile.
    Dev,
    /// Optimised, as shipped.
    Release,
}

pub(crate) fn run(flags: &flags::Build) -> Result<ExitCode> {
    let profile = if flags.release {
        Profile::Release
    } else {
        Profile::Dev
    };
    for program in programs(profile)? {
        say(format!("built {}", program.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the programs, with the page that the server embeds, and returns their paths.
pub(crate) fn programs(profile: Profile) -> Result<Vec<PathBuf>> {
    ui::build_if_possible()?;
    let mut command = profile_cargo("build", profile);
    run_command(command.args(PROGRAMS.iter().flat_map(|program| ["--bin", program])))?;
    let folder = folder(profile);
    Ok(PROGRAMS
        .iter()
        .map(|program| folder.join(program))
        .collect())
}

/// Begins to build the programs that embed no page, and does not wait: there is time for it while Node is
/// installed and the page is built. [`programs`] waits for Cargo's lock, and says what failed.
pub(crate) fn begin() -> Result<Child> {
    let mut command = profile_cargo("build", Profile::Dev);
    command.args(["--bin", "bubble-agent", "--bin", "bubble-workload"]);
    say(shown(&command));
    command.spawn().context("cannot start cargo")
}

/// Builds an example and returns its path.
pub(crate) fn example(name: &str, profile: Profile) -> Result<PathBuf> {
    run_command(profile_cargo("build", profile).args(["--example", name]))?;
    Ok(folder(profile).join("examples").join(name))
}

/// Cargo's output folder for `build.target` (.cargo/config.toml).
pub(crate) fn folder(profile: Profile) -> PathBuf {
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    project::target().join(triple).join(match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    })
}

/// Finds one of the built programs by its name.
pub(crate) fn program<'a>(programs: &'a [PathBuf], name: &str) -> Result<&'a Path> {
    let found = programs.iter().find(|path| path.ends_with(name));
    found
        .map(PathBuf::as_path)
        .with_context(|| format!("{name} was not built"))
}

/// A Cargo command that selects all packages, even if only one program is needed. Cargo derives the
/// features of dependencies from the selected packages, so another selection would compile them
/// again.
pub(crate) fn workspace_cargo(subcommand: &str) -> Command {
    profile_cargo(subcommand, Profile::Dev)
}

fn profile_cargo(subcommand: &str, profile: Profile) -> Command {
    let mut command = cargo(subcommand);
    command.arg("--workspace");
    if profile == Profile::Release {
        // Its simulated clock would be a feature of tokio in what is shipped.
        command.args(["--release", "--exclude", "bubble-simulation"]);
    }
    command
}
