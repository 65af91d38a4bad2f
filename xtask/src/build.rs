//! `build`: the agent, the server and the workload as static programs, which run on any x86-64
//! Linux: in an image FROM scratch, in a virtual machine that has no C library, on an old host.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{
    build_ebpf,
    command::{cargo, run as run_command, say},
    flags, project, ui,
};

/// The target is named even though it is the host's: so the flags below reach the programs and
/// not the build scripts, and these builds are kept apart from those of `cargo build`.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const STATIC: &str = "-Ctarget-feature=+crt-static";

/// The packages built, each with one program.
const PACKAGES: &[(&str, &str)] = &[
    ("bubble-agent", "bubble-agent"),
    ("bubble-server", "bubble-server"),
    ("bubble-workload", "bubble-workload"),
];

/// Cargo's profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to compile.
    Dev,
    /// As shipped.
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

/// Builds everything and gives the paths of the programs.
pub(crate) fn programs(profile: Profile) -> Result<Vec<PathBuf>> {
    embedded()?;
    run_command(&mut static_programs(profile))?;
    let folder = folder(profile);
    Ok(PACKAGES
        .iter()
        .map(|(_, program)| folder.join(program))
        .collect())
}

/// Builds what the programs embed.
pub(crate) fn embedded() -> Result<()> {
    build_ebpf::build()?;
    ui::build_if_possible()
}

/// Compiles the programs.
pub(crate) fn static_programs(profile: Profile) -> Command {
    let mut command = static_cargo("build", profile);
    for (package, _) in PACKAGES {
        command.args(["--package", package]);
    }
    command
}

/// Builds an example, as static as the programs, and gives its path.
pub(crate) fn example(package: &str, name: &str, profile: Profile) -> Result<PathBuf> {
    let mut command = static_cargo("build", profile);
    run_command(command.args(["--package", package, "--example", name]))?;
    Ok(folder(profile).join("examples").join(name))
}

/// Where Cargo puts what is built.
fn folder(profile: Profile) -> PathBuf {
    project::target().join(TARGET).join(match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    })
}

/// One of the programs that were built.
pub(crate) fn program<'a>(programs: &'a [PathBuf], name: &str) -> Result<&'a Path> {
    let found = programs.iter().find(|path| path.ends_with(name));
    found
        .map(PathBuf::as_path)
        .with_context(|| format!("{name} was not built"))
}

/// Compiles a program of tests of the suite, as static as the programs. What it shares with them is
/// compiled once: it is compiled as they are, and with their packages selected, by which Cargo
/// chooses the features of what they depend on.
pub(crate) fn static_tests(name: &str) -> Command {
    let mut command = static_cargo("test", Profile::Release);
    for (package, _) in PACKAGES {
        command.args(["--package", package]);
    }
    command.args(["--package", "bubble-suite", "--test", name, "--no-run"]);
    command
}

/// A Cargo command over all packages, whichever of their programs is wanted: Cargo chooses the
/// features of what they depend on by what is selected, and compiles it again for each choice.
pub(crate) fn workspace_cargo(subcommand: &str) -> Command {
    let mut command = cargo(subcommand);
    command.arg("--workspace");
    command
}

/// A Cargo command whose programs are static.
fn static_cargo(subcommand: &str, profile: Profile) -> Command {
    let mut command = cargo(subcommand);
    command
        .args(["--target", TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", STATIC);
    if profile == Profile::Release {
        command.arg("--release");
    }
    command
}
