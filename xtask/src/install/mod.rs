//! Installs the programs and packages that a command needs and this machine lacks.
//!
//! The checks take almost no time when nothing is missing. Every installation is printed, and can be
//! repeated.

pub(crate) mod ebpf;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, find, output, run, say};
use crate::project;

/// The versions of the tools that are built from source.
const CARGO_DENY: &str = "0.20.2";
const CARGO_MACHETE: &str = "0.9.2";

/// Installs the packages that are missing, with apt. Without apt, the error says what to install.
pub(crate) fn debian(why: &str, packages: &[&str]) -> Result<()> {
    let _lock = lock("apt")?;
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|name| !is_installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(format!(
        "{why}: installing the Debian packages {}",
        missing.join(" ")
    ));
    if find("apt-get").is_none() {
        bail!("{why}: {}", by_hand(&missing));
    }
    update_locked_package_list()?;
    run(as_root("apt-get")?
        // Another run of apt holds the lock for minutes at most.
        .args(["-o", "DPkg::Lock::Timeout=600"])
        .args(RETRIES)
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Keeps apt from starting the services of a package: see invoke-rc.d(8).
        .env("RUNLEVEL", "1")
        // Hides the progress of each package; errors go to standard error.
        .stdout(Stdio::null()))
    .with_context(|| format!("cannot install packages: {why}"))
}

/// Names of packages on Debian, for dnf and for pacman. A dash: there is no such package.
const OTHER_NAMES: &[(&str, &str, &str)] = &[
    ("bpftrace", "bpftrace", "bpftrace"),
    ("busybox-static", "busybox", "busybox"),
    ("chromium", "chromium", "chromium"),
    ("docker-compose", "docker-compose", "docker-compose"),
    ("docker.io", "moby-engine", "docker"),
    ("g++", "gcc-c++", "gcc"),
    ("golang-go", "golang", "go"),
    ("iptables", "iptables-nft", "iptables"),
    ("libpolly-22-dev", "-", "-"),
    ("libzstd-dev", "libzstd-devel", "zstd"),
    ("llvm-22-dev", "llvm-devel", "llvm"),
    ("maven", "maven", "maven"),
    ("nginx-light", "nginx", "nginx"),
    ("nodejs", "nodejs", "nodejs"),
    ("npm", "nodejs-npm", "npm"),
    (
        "openjdk-17-jre-headless",
        "java-17-openjdk-headless",
        "jre17-openjdk-headless",
    ),
    ("postgresql", "postgresql-server", "postgresql"),
    ("python3", "python3", "python"),
    ("qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86"),
    ("rabbitmq-server", "rabbitmq-server", "rabbitmq"),
    ("seabios", "seabios-bin", "seabios"),
    ("sysdig", "-", "sysdig"),
    ("xz-utils", "xz", "xz"),
    ("zlib1g-dev", "zlib-devel", "zlib"),
];

/// The error where there is no apt: how to install the packages by hand.
fn by_hand(missing: &[&str]) -> String {
    let translated = |column: fn(&(&str, &'static str, &'static str)) -> &'static str| {
        missing
            .iter()
            .map(|name| {
                let row = OTHER_NAMES.iter().find(|row| row.0 == *name);
                row.map_or((*name).to_owned(), |row| column(row).to_owned())
            })
            .filter(|name| name != "-")
            .collect::<Vec<_>>()
            .join(" ")
    };
    if find("dnf").is_some() {
        format!(
            "run `dnf install {}`, and start again",
            translated(|row| row.1)
        )
    } else if find("pacman").is_some() {
        format!(
            "run `pacman -S {}`, and start again",
            translated(|row| row.2)
        )
    } else {
        format!(
            "install what Debian calls {}, and start again (dnf: {}; pacman: {})",
            missing.join(" "),
            translated(|row| row.1),
            translated(|row| row.2)
        )
    }
}

/// Waits until no other process of this checkout installs what is called `name`. The lock lasts until the
/// file is dropped.
pub(crate) fn lock(name: &str) -> Result<File> {
    let folder = project::cache().join("locks");
    let path = folder.join(name);
    let cannot = || format!("cannot lock {}", path.display());
    fs::create_dir_all(&folder).with_context(cannot)?;
    let file = File::create(&path).with_context(cannot)?;
    file.lock().with_context(cannot)?;
    Ok(file)
}

/// Options of apt-get that fetches something: a server may fail to answer once.
pub(crate) const RETRIES: [&str; 2] = ["-o", "Acquire::Retries=3"];

/// Updates apt's list of packages, once in each run.
pub(crate) fn update_package_list() -> Result<()> {
    let _lock = lock("apt")?;
    update_locked_package_list()
}

fn update_locked_package_list() -> Result<()> {
    static IS_UPDATED: AtomicBool = AtomicBool::new(false);
    if !IS_UPDATED.load(Ordering::Relaxed) {
        run(as_root("apt-get")?.args(RETRIES).args(["update", "-qq"]))?;
        IS_UPDATED.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Installs QEMU, and the programs that its guests are made from.
pub(crate) fn vm() -> Result<()> {
    if ["qemu-system-x86_64", "busybox", "xz"]
        .iter()
        .all(|program| find(program).is_some())
    {
        return Ok(());
    }
    // QEMU's package only recommends its firmware, seabios.
    debian(
        "the virtual machine",
        &["qemu-system-x86", "seabios", "busybox-static", "xz-utils"],
    )
}

/// Installs Docker, with the packages that the daemon and the images need.
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

/// Installs Compose if it is missing. It checks `docker-compose.yml`.
pub(crate) fn compose() -> Result<()> {
    if find("docker-compose").is_some() {
        return Ok(());
    }
    debian("Compose", &["docker-compose"])
}

/// Installs systemd-analyze if it is missing. It checks systemd's units.
pub(crate) fn systemd_analyze() -> Result<()> {
    if find("systemd-analyze").is_some() {
        return Ok(());
    }
    debian("the check of systemd's units", &["systemd"])
}

/// Installs Node and npm if one is missing.
pub(crate) fn node() -> Result<()> {
    if find("node").is_some() && find("npm").is_some() {
        return Ok(());
    }
    debian("Node", &["nodejs", "npm"])
}

/// Installs bpftrace, which the agent's overhead is compared with.
pub(crate) fn bpftrace() -> Result<()> {
    if find("bpftrace").is_some() {
        return Ok(());
    }
    debian("the tracer to compare with", &["bpftrace"])
}

/// Installs sysdig, the Lua libraries of the chisels, and openssl for a test certificate.
pub(crate) fn sysdig() -> Result<()> {
    debian("sysdig", &["sysdig", "lua-socket", "lua-sec", "openssl"])
}

/// Installs what the suite runs: for the mixed load a compiler, a database, a web server and Python, and
/// what makes file systems.
/// None of their services is started.
pub(crate) fn suite() -> Result<()> {
    let missing = |(program, package)| find(program).is_none().then_some(package);
    let programs = [
        ("gcc", "gcc"),
        ("make", "make"),
        ("objdump", "binutils"),
        ("python3", "python3"),
        ("nginx", "nginx-light"),
        ("mke2fs", "e2fsprogs"),
        ("mkfs.xfs", "xfsprogs"),
        ("mkfs.btrfs", "btrfs-progs"),
    ];
    let mut packages: Vec<&str> = programs.into_iter().filter_map(missing).collect();
    // Debian has the server outside of PATH, one folder per version.
    let versions = fs::read_dir("/usr/lib/postgresql");
    let mut versions = versions.into_iter().flatten().flatten();
    let has_server = versions.any(|version| version.path().join("bin/postgres").exists());
    if !has_server && find("postgres").is_none() {
        packages.push("postgresql");
    }
    debian("the suite", &packages)
}

/// Installs the C++ compiler, which builds libFuzzer.
pub(crate) fn cxx() -> Result<()> {
    if find("c++").is_some() {
        return Ok(());
    }
    debian("libFuzzer", &["g++"])
}

/// Installs nginx, the reverse proxy of the end-to-end tests.
pub(crate) fn nginx() -> Result<()> {
    if find("nginx").is_some() || Path::new("/usr/sbin/nginx").exists() {
        return Ok(());
    }
    debian("the reverse proxy", &["nginx-light"])
}

/// Installs Chromium, the browser of the end-to-end tests.
pub(crate) fn chromium() -> Result<()> {
    if find("chromium").is_some() {
        return Ok(());
    }
    debian("the browser", &["chromium"])
}

/// Installs Java 17, for Cassandra, and returns its program.
pub(crate) fn java() -> Result<PathBuf> {
    let find_java = || {
        let folders = fs::read_dir("/usr/lib/jvm").ok()?;
        let named = |path: &PathBuf| path.to_string_lossy().contains("/java-17-openjdk-");
        let mut found = folders.flatten().map(|entry| entry.path()).filter(named);
        found.find_map(|folder| Some(folder.join("bin/java")).filter(|java| java.exists()))
    };
    if find_java().is_none() {
        debian("Java 17, for Cassandra", &["openjdk-17-jre-headless"])?;
    }
    find_java().context("Java 17 was installed but is not in /usr/lib/jvm")
}

/// Installs Maven, which fetches Cassandra.
pub(crate) fn maven() -> Result<()> {
    if find("mvn").is_some() {
        return Ok(());
    }
    debian("Maven, to fetch Cassandra", &["maven"])
}

/// Installs RabbitMQ and Erlang. Debian's own instance is not started.
pub(crate) fn rabbitmq() -> Result<()> {
    debian("the queue of roll-up jobs", &["rabbitmq-server"])
}

/// Installs Go, which builds Consul.
pub(crate) fn go() -> Result<()> {
    if find("go").is_some() {
        return Ok(());
    }
    debian("Go, to build Consul", &["golang-go"])
}

/// Finds or builds cargo-deny, which checks licences and sources.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", CARGO_DENY)
}

/// Finds or builds cargo-machete, which finds unused dependencies.
pub(crate) fn cargo_machete() -> Result<PathBuf> {
    cargo_tool("cargo-machete", CARGO_MACHETE)
}

/// Finds a Cargo subcommand, or builds it into `.cache/tools`, once. Returns its path.
fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let _lock = lock(name)?;
    let tools = project::cache().join("tools");
    let built = tools.join("bin").join(name);
    if let Some(found) = find(name).or_else(|| built.exists().then(|| built.clone())) {
        return Ok(found);
    }
    say(format!("building {name}, once"));
    run(cargo("install")
        // It runs for seconds: optimising it would take longer than it saves.
        .args(["--quiet", "--locked", "--debug", name])
        .args(["--version", version, "--root"])
        .arg(&tools)
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .env_remove("CARGO_TARGET_DIR"))?;
    Ok(built)
}

/// Whether dpkg says that the package is fully installed.
fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

/// A command that runs the program as root: directly, or else by sudo.
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

/// Whether this process runs as root.
pub(crate) fn is_root() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))? == "0")
}

#[cfg(test)]
mod tests {
    use super::by_hand;

    #[test]
    fn the_error_without_apt_names_the_packages() {
        let said = by_hand(&["nodejs", "npm"]);
        assert!(said.contains("nodejs"), "{said}");
        assert!(said.contains("start again"), "{said}");
    }
}
