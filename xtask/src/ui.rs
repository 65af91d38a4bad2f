//! `ui`: the page, built by npm into server/ui/dist, from where the server embeds it. The Rust
//! build does not need it: without Node the server is built with the page that was there before,
//! or with none.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::SystemTime,
};

use anyhow::{Context as _, Result};

use crate::{
    command::{find, run as run_command, say},
    install, project,
};

/// What in the folder is not source.
const MADE: &[&str] = &["node_modules", "dist"];

pub(crate) fn run() -> Result<ExitCode> {
    install::node()?;
    build()?;
    Ok(ExitCode::SUCCESS)
}

/// Where the page's sources are.
pub(crate) fn folder() -> PathBuf {
    project::root().join("server/ui")
}

/// Builds the page when there is a Node to do it, and says so when there is not.
pub(crate) fn build_if_possible() -> Result<()> {
    if find("npm").is_some() {
        return build();
    }
    let page = folder().join("dist/index.html");
    say(if page.exists() {
        "no Node here: the server embeds the page as it was last built".to_owned()
    } else {
        "no Node here: the server is built without its page; `cargo xtask ui` installs Node and \
         builds it"
            .to_owned()
    });
    Ok(())
}

/// Builds the page, when its sources are newer than what was built.
pub(crate) fn build() -> Result<()> {
    let built = modified(&folder().join("dist/index.html"));
    let changed = newest(&folder())?;
    if built.is_some_and(|built| built >= changed) {
        say("the page is up to date");
        return Ok(());
    }
    packages()?;
    run_command(&mut npm_run("build"))
}

/// Fetches the packages that the lock file names, when it changed.
pub(crate) fn packages() -> Result<()> {
    let wanted = modified(&folder().join("package-lock.json"));
    // Written by npm at the end of what it does.
    let have = modified(&folder().join("node_modules/.package-lock.json"));
    if have.is_some() && have >= wanted {
        return Ok(());
    }
    run_command(npm().args(["ci", "--no-audit", "--no-fund"]))
}

/// A command that runs one of the scripts in package.json.
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

/// When the youngest source was changed.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if MADE.contains(&name) {
            continue;
        }
        let time = if path.is_dir() {
            Some(self::newest(&path)?)
        } else {
            modified(&path)
        };
        newest = newest.max(time.unwrap_or(newest));
    }
    Ok(newest)
}
