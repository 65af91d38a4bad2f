//! The groups of tests: what each is called, what it shows, and how it is run.

use std::process::Command;

use anyhow::Result;

use crate::{
    build_ebpf,
    command::{cargo, run},
    install, project,
};

/// One row of the list.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: fn() -> Result<()>,
}

/// In the order in which they run.
pub(super) const GROUPS: &[Group] = &[
    Group {
        name: "fmt",
        about: "the Rust code is formatted",
        run: fmt,
    },
    Group {
        name: "clippy",
        about: "clippy has nothing to say",
        run: clippy,
    },
    Group {
        name: "deny",
        about: "licences, sources and bans of the dependencies",
        run: deny,
    },
    Group {
        name: "unit",
        about: "the tests of each crate",
        run: unit,
    },
];

fn fmt() -> Result<()> {
    run(cargo("fmt").args(["--all", "--check"]))?;
    run(cargo("fmt")
        .args(["--check"])
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
    // The suite has groups of its own: it needs root, containers and the built programs.
    run(cargo("test").args(["--workspace", "--exclude", "bubble-suite"]))
}
