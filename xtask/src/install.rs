//! Getting what a command needs and this machine lacks. Every check is a look at files, so that
//! nothing is slower when nothing is missing; what is got is said; doing it twice is harmless.

pub(crate) mod ebpf;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{cargo, find, output, run, say},
    project,
};

/// The version that is built.
const CARGO_DENY: &str = "0.20.2";

/// Installs those of the Debian packages that are not installed.
pub(crate) fn debian(why: &str, packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|name| !installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(format!(
        "{why}: installing the Debian packages {}",
        missing.join(" ")
    ));
    if find("apt-get").is_none() {
        bail!(
            "this system has no apt-get: install by hand what {} are on Debian",
            missing.join(" ")
        );
    }
    update_package_list()?;
    run(as_root("apt-get")?
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // A service that comes with a package is not started: see invoke-rc.d(8).
        .env("RUNLEVEL", "1")
        // A line for every package and no more news than that; errors go to the other stream.
        .stdout(Stdio::null()))
    .with_context(|| format!("cannot install what is needed: {why}"))
}

/// Fetches the list of Debian's packages.
pub(crate) fn update_package_list() -> Result<()> {
    run(as_root("apt-get")?.args(["update", "-qq"]))
}

/// QEMU, and what its guest is made from.
pub(crate) fn vm() -> Result<()> {
    if ["qemu-system-x86_64", "busybox", "xz"]
        .iter()
        .all(|program| find(program).is_some())
    {
        return Ok(());
    }
    // seabios and ipxe: QEMU's firmware, only recommended by it.
    debian(
        "the virtual machine",
        &["qemu-system-x86", "seabios", "busybox-static", "xz-utils"],
    )
}

/// Docker, with what it needs to start and what images are made from.
pub(crate) fn docker() -> Result<()> {
    if ["docker", "dockerd", "iptables", "busybox"]
        .iter()
        .all(|program| find(program).is_some())
    {
        return Ok(());
    }
    debian(
        "Docker",
        &["docker.io", "iptables", "busybox-static", "ca-certificates"],
    )
}

/// Compose, which reads `docker-compose.yml`: that which is there, or Debian's.
pub(crate) fn compose() -> Result<()> {
    if find("docker-compose").is_some() {
        return Ok(());
    }
    debian("Compose", &["docker-compose"])
}

/// What reads units as systemd does.
pub(crate) fn systemd_analyze() -> Result<()> {
    if find("systemd-analyze").is_some() {
        return Ok(());
    }
    debian("what reads systemd's units", &["systemd"])
}

/// Node and npm: those that are there, or Debian's.
pub(crate) fn node() -> Result<()> {
    if find("node").is_some() && find("npm").is_some() {
        return Ok(());
    }
    debian("Node", &["nodejs", "npm"])
}

/// The tracer that the agent's overhead is compared with.
pub(crate) fn bpftrace() -> Result<()> {
    if find("bpftrace").is_some() {
        return Ok(());
    }
    debian("the tracer to compare with", &["bpftrace"])
}

/// sysdig, what its chisels need, and what makes a certificate for them.
pub(crate) fn sysdig() -> Result<()> {
    debian("sysdig", &["sysdig", "lua-socket", "lua-sec", "openssl"])
}

/// The browser of the end-to-end tests.
pub(crate) fn chromium() -> Result<()> {
    if find("chromium").is_some() {
        return Ok(());
    }
    debian("the browser", &["chromium"])
}

/// Java 17, on which Cassandra runs.
pub(crate) fn java() -> Result<PathBuf> {
    let debians = || {
        let folders = std::fs::read_dir("/usr/lib/jvm").ok()?;
        let named = |path: &PathBuf| path.to_string_lossy().contains("/java-17-openjdk-");
        let mut found = folders.flatten().map(|entry| entry.path()).filter(named);
        found.find_map(|folder| Some(folder.join("bin/java")).filter(|java| java.exists()))
    };
    if debians().is_none() {
        debian("Java 17, for Cassandra", &["openjdk-17-jre-headless"])?;
    }
    debians().context("Java 17 was installed and is not in /usr/lib/jvm")
}

/// Maven, which fetches Cassandra.
pub(crate) fn maven() -> Result<()> {
    if find("mvn").is_some() {
        return Ok(());
    }
    debian("Maven, to fetch Cassandra", &["maven"])
}

/// RabbitMQ, and Erlang, on which it runs. Debian's own instance is not started.
pub(crate) fn rabbitmq() -> Result<()> {
    debian("the queue of roll-up jobs", &["rabbitmq-server"])
}

/// Go, which builds Consul: that which is there, or Debian's.
pub(crate) fn go() -> Result<()> {
    if find("go").is_some() {
        return Ok(());
    }
    debian("Go, to build Consul", &["golang-go"])
}

/// cargo-deny, built once into `.cache/tools` if it is nowhere.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let tools = project::cache().join("tools");
    let own = tools.join("bin/cargo-deny");
    if let Some(found) = find("cargo-deny").or_else(|| own.exists().then(|| own.clone())) {
        return Ok(found);
    }
    say("building cargo-deny, once (some minutes)");
    run(cargo("install")
        .args([
            "--quiet",
            "--locked",
            // It runs for seconds: what it takes to optimise it, it never saves.
            "--debug",
            "cargo-deny",
            "--version",
            CARGO_DENY,
            "--root",
        ])
        .arg(&tools)
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .env_remove("CARGO_TARGET_DIR"))?;
    Ok(own)
}

/// Whether dpkg has the package, fully installed.
fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

/// The program, run as root: by itself when we are, else by sudo.
pub(crate) fn as_root(program: &str) -> Result<Command> {
    if is_root()? {
        return Ok(Command::new(program));
    }
    if find("sudo").is_none() {
        bail!("{program} must run as root, and there is no sudo: run this command as root");
    }
    let mut command = Command::new("sudo");
    command.args(["--preserve-env=DEBIAN_FRONTEND,RUNLEVEL", program]);
    Ok(command)
}

/// Whether this process is root's.
pub(crate) fn is_root() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))? == "0")
}
