//! `tools`: builds the tools that tests compile from source, and run for seconds.
//!
//! A build takes minutes and is needed late in a run of all tests, so `test --all` starts this command
//! in the background. [`install::lock`] keeps two processes from building one tool.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::command::{find, say};
use crate::process::Process;
use crate::{install, project, services};

/// A tool, and the function that builds it if it is missing.
type Tool = (&'static str, fn() -> Result<()>);

/// In the order in which `test --all` needs them.
const TOOLS: [Tool; 4] = [
    ("cargo-machete", || install::cargo_machete().map(drop)),
    ("cargo-deny", || install::cargo_deny().map(drop)),
    ("bpf-linker", || install::ebpf::toolchain().map(drop)),
    ("Consul", || services::consul::program().map(drop)),
];

pub(crate) fn run() -> Result<ExitCode> {
    let mut failed = false;
    for (name, build) in TOOLS {
        match build() {
            Ok(()) => say(format!("{name} is built")),
            // The next one may still be built.
            Err(error) => {
                say(format!("cannot build {name}: {error:#}"));
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
/// A tool that it cannot build is built by the group of tests that needs it, which then reports the
/// error.
pub(crate) fn start(log: &Path) -> Result<Process> {
    let cannot = || format!("cannot write {}", log.display());
    fs::create_dir_all(project::target().join("test")).with_context(cannot)?;
    let output = File::create(log).with_context(cannot)?;
    let nice = find("nice").context("nice is not installed")?;
    let mut command: Command = Process::command(&nice);
    command
        .args(["-n", "19"])
        .arg(env::current_exe().context("cannot find this program")?)
        .arg("tools")
        .stdout(output.try_clone().with_context(cannot)?)
        .stderr(output);
    Process::start("the build of tools", command)
}
