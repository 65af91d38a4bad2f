//! The files by which others start it, read by those who will: Compose and systemd. Neither starts
//! anything, so that they are seen to be valid where there is no daemon and no systemd that runs.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{
    command::{find, run, say, shown, succeeds},
    install, project,
};

/// What is brought up without a profile, and with each.
const PROFILES: [&[&str]; 3] = [
    &[],
    &["--profile", "workers"],
    &["--profile", "workers", "--profile", "retain"],
];

/// Each starts the program whose name it has.
const UNITS: [&str; 2] = [
    "agent/deploy/bubble-agent.service",
    "server/deploy/bubble-server.service",
];

/// Where the units say that the programs are.
const PROGRAMS: &str = "/usr/local/bin/";

pub(super) fn valid() -> Result<()> {
    compose()?;
    systemd()
}

fn compose() -> Result<()> {
    for profiles in PROFILES {
        run(program()?
            .current_dir(project::root())
            .args(["--file", "docker-compose.yml"])
            .args(profiles)
            .args(["config", "--quiet"]))?;
    }
    Ok(())
}

/// The plugin of Docker's client, or else the program that Debian has.
fn program() -> Result<Command> {
    if succeeds(Command::new("docker").args(["compose", "version"])) {
        let mut plugin = Command::new("docker");
        plugin.arg("compose");
        return Ok(plugin);
    }
    install::compose()?;
    Ok(Command::new("docker-compose"))
}

/// It complains of a program that is not there, and we install none: it is shown units that start
/// one of ours where it is installed. What it says of a directive that it does not know is no error
/// to it, and is one to us.
fn systemd() -> Result<()> {
    install::systemd_analyze()?;
    let folder = project::target().join("deploy");
    let programs = folder.join("bin");
    fs::create_dir_all(&programs).with_context(|| format!("cannot make {}", programs.display()))?;
    for unit in UNITS {
        let unit = Path::new(unit);
        let text = fs::read_to_string(project::root().join(unit))
            .with_context(|| format!("cannot read {}", unit.display()))?;
        let name = unit.file_stem().context("a unit has a name")?;
        let program = format!("{PROGRAMS}{}", name.to_string_lossy());
        ensure!(
            text.contains(&program),
            "{} does not start {program}",
            unit.display()
        );
        let stands_in = programs.join(name);
        let any = find("true").context("there is no program `true`")?;
        fs::copy(any, &stands_in)
            .with_context(|| format!("cannot write {}", stands_in.display()))?;
        let shown_to_it = folder.join(unit.file_name().context("a unit has a name")?);
        fs::write(
            &shown_to_it,
            text.replace(&program, &stands_in.to_string_lossy()),
        )
        .with_context(|| format!("cannot write {}", shown_to_it.display()))?;
        let mut verify = Command::new("systemd-analyze");
        verify.arg("verify").arg(&shown_to_it);
        say(shown(&verify));
        let output = verify.output().context("cannot start systemd-analyze")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && said.trim().is_empty(),
            "systemd says of {}: {}",
            unit.display(),
            said.trim()
        );
    }
    Ok(())
}
