//! `ui`: builds the page with npm into server/ui/dist. The server embeds that folder.
//!
//! The Rust build does not need Node: without it, the server embeds the page as last built, or
//! none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::command::{find, run as run_command, say};
use crate::{install, project};

/// Folders that are not sources.
const GENERATED: &[&str] = &["node_modules", "dist"];

pub(crate) fn run() -> Result<ExitCode> {
    install::node()?;
    build()?;
    Ok(ExitCode::SUCCESS)
}

/// The folder of the page's sources.
pub(crate) fn folder() -> PathBuf {
    project::root().join("server/ui")
}

/// Builds the page if npm is installed, and else says so.
pub(crate) fn build_if_possible() -> Result<()> {
    if find("npm").is_some() {
        return build();
    }
    let page = folder().join("dist/index.html");
    say(if page.exists() {
        "npm is not installed: the server embeds the page as last built".to_owned()
    } else {
        "npm is not installed: the server is built without its page; `cargo xtask ui` installs \
         npm and builds the page"
            .to_owned()
    });
    Ok(())
}

/// Builds the page if its sources are newer than the last build.
pub(crate) fn build() -> Result<()> {
    let built = modified(&folder().join("dist/index.html"));
    let changed = last_change(&folder())?;
    if built.is_some_and(|built| built >= changed) {
        say("the page is up to date");
        return Ok(());
    }
    packages()?;
    run_command(&mut npm_run("build"))
}

/// Installs the packages of the lock file if it has changed.
pub(crate) fn packages() -> Result<()> {
    let locked = modified(&folder().join("package-lock.json"));
    // npm writes it last.
    let installed = modified(&folder().join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= locked {
        return Ok(());
    }
    run_command(npm().args(["ci", "--no-audit", "--no-fund"]))
}

/// A command that runs a script of package.json.
pub(crate) fn npm_run(script: &str) -> Command {
    let mut command = npm();
    command.args(["run", "--silent", script]);
    command
}

fn npm() -> Command {
    let mut command = Command::new("npm");
    command.current_dir(folder());
    command
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|data| data.modified()).ok()
}

/// The time of the last change of a source.
fn last_change(folder: &Path) -> Result<SystemTime> {
    let mut last_change = SystemTime::UNIX_EPOCH;
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if GENERATED.contains(&name) {
            continue;
        }
        let time = if path.is_dir() {
            Some(self::last_change(&path)?)
        } else {
            modified(&path)
        };
        last_change = last_change.max(time.unwrap_or(last_change));
    }
    Ok(last_change)
}
