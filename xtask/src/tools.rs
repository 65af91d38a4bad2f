//! `tools`: installs and builds what tests need, before they need it.
//!
//! Downloads and builds take minutes and are needed late in a run, so `test` starts this command in the
//! background. [`install::lock`] keeps two processes from building one tool, and apt has a lock of its own.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::command::{find, say};
use crate::process::Process;
use crate::{flags, install, project, services};

/// A tool, and the function that installs it if it is missing.
type Tool = (&'static str, fn() -> Result<()>);

/// Debian's packages, in the order in which `test` needs them. For root only: a program in the background
/// must not ask for a password.
const PACKAGES: [Tool; 5] = [
    ("Node", install::node),
    ("Chromium", install::chromium),
    ("nginx", install::nginx),
    ("Docker", install::docker),
    ("the programs of the suite", install::suite),
];
/// In the order in which `test --all` needs them.
const BUILT: [Tool; 4] = [
    ("cargo-machete", || install::cargo_machete().map(drop)),
    ("cargo-deny", || install::cargo_deny().map(drop)),
    ("bpf-linker", || install::ebpf::toolchain().map(drop)),
    ("Consul", || services::consul::program().map(drop)),
];

pub(crate) fn run(flags: &flags::Tools) -> Result<ExitCode> {
    let mut tools = Vec::new();
    if install::is_root()? {
        tools.extend(PACKAGES);
    }
    if flags.all {
        tools.extend(BUILT);
    }
    let mut failed = false;
    for (name, install) in tools {
        match install() {
            Ok(()) => say(format!("{name}: here")),
            // The next one may still be installed.
            Err(error) => {
                say(format!("cannot install {name}: {error:#}"));
                failed = true;
            }
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Starts this command in the background, at the lowest priority. Its output is in the file `log`.
///
/// A tool that it cannot install is installed by the group of tests that needs it, which then reports the
/// error.
pub(crate) fn start(log: &Path, all: bool) -> Result<Process> {
    let cannot = || format!("cannot write {}", log.display());
    fs::create_dir_all(project::target().join("test")).with_context(cannot)?;
    let output = File::create(log).with_context(cannot)?;
    let nice = find("nice").context("nice is not installed")?;
    let mut command: Command = Process::command(&nice);
    command
        .args(["-n", "19"])
        .arg(env::current_exe().context("cannot find this program")?)
        .arg("tools")
        .args(all.then_some("--all"))
        .stdout(output.try_clone().with_context(cannot)?)
        .stderr(output);
    Process::start_group("the installation of tools", command)
}
