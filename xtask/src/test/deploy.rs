//! Checks docker-compose.yml with Compose, and the units with systemd-analyze.
//!
//! Neither starts anything, so they need no running Docker daemon and no running systemd.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command::{find, run, say, shown, succeeds};
use crate::{install, project};

/// The combinations of profiles to check.
const PROFILES: [&[&str]; 3] = [
    &[],
    &["--profile", "workers"],
    &["--profile", "workers", "--profile", "retain"],
];

/// The units, each with the exposure that `systemd-analyze security` may find, in tenths. Each starts
/// the program of the same name.
const UNITS: [(&str, u32); 2] = [
    ("agent/deploy/bubble-agent.service", 34),
    ("server/deploy/bubble-server.service", 20),
];

/// The folder of the programs in the units.
const PROGRAM_FOLDER: &str = "/usr/local/bin/";

pub(super) fn valid() -> Result<()> {
    check_compose()?;
    check_units()
}

fn check_compose() -> Result<()> {
    for profiles in PROFILES {
        run(compose_command()?
            .current_dir(project::root())
            .args(["--file", "docker-compose.yml"])
            .args(profiles)
            .args(["config", "--quiet"]))?;
    }
    Ok(())
}

/// The plugin of Docker's client, or else Debian's program docker-compose.
fn compose_command() -> Result<Command> {
    if succeeds(Command::new("docker").args(["compose", "version"])) {
        let mut plugin = Command::new("docker");
        plugin.arg("compose");
        return Ok(plugin);
    }
    install::compose()?;
    Ok(Command::new("docker-compose"))
}

/// systemd-analyze rejects units of missing programs, and none are installed here. So it checks
/// copies that start a stand-in. It only warns about unknown directives; here any output is an
/// error.
fn check_units() -> Result<()> {
    install::systemd_analyze()?;
    let folder = project::target().join("deploy");
    let programs = folder.join("bin");
    fs::create_dir_all(&programs)
        .with_context(|| format!("cannot create {}", programs.display()))?;
    for (unit, exposure) in UNITS {
        let unit = Path::new(unit);
        let text = fs::read_to_string(project::root().join(unit))
            .with_context(|| format!("cannot read {}", unit.display()))?;
        let name = unit.file_stem().context("a unit has a name")?;
        let program = format!("{PROGRAM_FOLDER}{}", name.to_string_lossy());
        ensure!(
            text.contains(&program),
            "{} does not start {program}",
            unit.display()
        );
        let stand_in = programs.join(name);
        let any = find("true").context("the program `true` is not installed")?;
        fs::copy(any, &stand_in).with_context(|| format!("cannot write {}", stand_in.display()))?;
        let copy = folder.join(unit.file_name().context("a unit has a name")?);
        fs::write(&copy, text.replace(&program, &stand_in.to_string_lossy()))
            .with_context(|| format!("cannot write {}", copy.display()))?;
        let mut verify = Command::new("systemd-analyze");
        verify.arg("verify").arg(&copy);
        say(shown(&verify));
        let output = verify.output().context("cannot start systemd-analyze")?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && complaints.trim().is_empty(),
            "systemd-analyze rejects {}: {}",
            unit.display(),
            complaints.trim()
        );
        run(Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager"])
            .arg(format!("--threshold={exposure}"))
            .arg(&copy))?;
    }
    Ok(())
}
