//! The groups of tests: what each is called, what it shows, and how it is run.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use super::suite;
use crate::{
    build_ebpf,
    command::{cargo, run},
    fuzz, install, project, ui,
    vm::Kernel,
};

/// One row of the list.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Why it is not among those that must pass, yet: it runs when it is named by `--only`.
    pub(super) pending: Option<&'static str>,
    /// Runs it; what was given after `--` is for the suite.
    pub(super) run: fn(&[String]) -> Result<()>,
}

/// Said of groups that no run has shown to pass as a whole.
const UNSEEN: &str = "not seen to pass as a whole yet";

/// For how many seconds each target is fuzzed.
const FUZZ_SECONDS: u32 = 20;

/// In the order in which they run.
pub(super) const GROUPS: &[Group] = &[
    Group {
        name: "fmt",
        about: "the Rust code is formatted",
        pending: None,
        run: |_| fmt(),
    },
    Group {
        name: "clippy",
        about: "clippy has nothing to say",
        pending: None,
        run: |_| clippy(),
    },
    Group {
        name: "deny",
        about: "licences, sources and bans of the dependencies",
        pending: None,
        run: |_| deny(),
    },
    Group {
        name: "unit",
        about: "the tests of each crate",
        pending: None,
        run: |_| unit(),
    },
    Group {
        name: "fuzz",
        about: "the readers of captures take anything, for a short time",
        pending: None,
        run: |_| fuzz::all(FUZZ_SECONDS),
    },
    Group {
        name: "ui",
        about: "the page: its types, its tests, its build",
        pending: None,
        run: |_| page(),
    },
    Group {
        name: "e2e",
        about: "the page in Chromium, on a real server",
        pending: None,
        run: |_| end_to_end(),
    },
    Group {
        name: "chisel",
        about: "what the chisels post, run by a real sysdig over real captures",
        pending: None,
        run: |arguments| chisel(arguments),
    },
    Group {
        name: "suite",
        about: "known workloads in Docker's containers on this host, to the byte",
        pending: None,
        run: suite::on_this_host,
    },
    Group {
        name: "vm-6.12",
        about: "the same in cgroups on Debian's 6.12, with hooks on functions",
        pending: None,
        run: |arguments| suite::in_guest(Kernel::V6_12, "vfs", arguments),
    },
    Group {
        name: "vm-6.12-syscall",
        about: "the same, with hooks on system calls",
        pending: Some(UNSEEN),
        run: |arguments| suite::in_guest(Kernel::V6_12, "syscall", arguments),
    },
    Group {
        name: "vm-6.1",
        about: "the same in cgroups on Debian's 6.1, with hooks on functions",
        pending: None,
        run: |arguments| suite::in_guest(Kernel::V6_1, "vfs", arguments),
    },
    Group {
        name: "vm-6.1-syscall",
        about: "the same, with hooks on system calls",
        pending: None,
        run: |arguments| suite::in_guest(Kernel::V6_1, "syscall", arguments),
    },
];

fn fmt() -> Result<()> {
    run(cargo("fmt").args(["--all", "--check"]))?;
    run(cargo("fmt")
        .arg("--check")
        .current_dir(project::root().join("agent-ebpf")))
}

fn clippy() -> Result<()> {
    // The agent is checked as it is shipped, with the kernel side in it.
    build_ebpf::build()?;
    run(cargo("clippy").args(["--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn deny() -> Result<()> {
    let deny = install::cargo_deny()?;
    for manifest in ["Cargo.toml", "agent-ebpf/Cargo.toml"] {
        run(Command::new(&deny)
            .current_dir(project::root())
            .args(["--manifest-path", manifest, "--config", "deny.toml"])
            .args(["check", "licenses", "bans", "sources"]))?;
    }
    Ok(())
}

fn unit() -> Result<()> {
    build_ebpf::build()?;
    // The suite is a group of its own.
    run(cargo("test").args(["--workspace", "--exclude", "bubble-suite"]))
}

fn page() -> Result<()> {
    install::node()?;
    ui::packages()?;
    for script in ["check", "test", "build"] {
        run(&mut ui::npm_run(script))?;
    }
    Ok(())
}

fn chisel(arguments: &[String]) -> Result<()> {
    install::sysdig()?;
    // The suite's server is kept by the workload's program, which ends it when the test ends.
    run(cargo("build").args(["--package", "bubble-server", "--package", "bubble-workload"]))?;
    run(cargo("test")
        .args(["--package", "bubble-suite", "--test", "chisel", "--"])
        .args(arguments)
        .env("BUBBLE_SERVER_BIN", built_program("bubble-server"))
        .env("BUBBLE_WORKLOAD_BIN", built_program("bubble-workload")))
}

fn end_to_end() -> Result<()> {
    install::chromium()?;
    install::node()?;
    ui::packages()?;
    ui::build()?;
    run(cargo("build").args(["--package", "bubble-server"]))?;
    run(cargo("build")
        .args(["--package", "bubble-common", "--features", "testing"])
        .args(["--example", "page_batch"]))?;
    run(ui::npm_run("e2e")
        .env("BUBBLE_SERVER_BIN", built_program("bubble-server"))
        .env(
            "BUBBLE_PAGE_BATCH_BIN",
            built_program("examples/page_batch"),
        ))
}

/// Where `cargo build` put a program.
fn built_program(name: &str) -> PathBuf {
    project::target().join("debug").join(name)
}
