//! The groups of tests: what each is called, what it shows, and how it is run.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use super::{deploy, need_root, services, suite};
use crate::{
    build::{self, Profile, workspace_cargo},
    build_ebpf,
    command::{cargo, run},
    docker::Daemon,
    fuzz, image, install, project, ui,
    vm::Kernel,
};

/// One row of the list.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// What it means for compiling ahead.
    pub(super) load: Load,
    /// Runs it; what was given after `--` is for the suite.
    pub(super) run: fn(&[String]) -> Result<()>,
}

/// What a group does with the processors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// It wants all there is.
    Busy,
    /// It mostly waits: what later groups run is compiled meanwhile.
    Waits,
    /// It runs the static programs, and has the machine to itself.
    Programs,
}

/// For how many seconds each target is fuzzed.
const FUZZ_SECONDS: u32 = 20;

/// In the order in which they run. The page comes before all that embeds it.
pub(super) const GROUPS: &[Group] = &[
    Group {
        name: "fmt",
        about: "the Rust code is formatted",
        load: Load::Busy,
        run: |_| fmt(),
    },
    Group {
        name: "ui",
        about: "the page: its types, its tests, its build",
        load: Load::Busy,
        run: |_| page(),
    },
    Group {
        name: "clippy",
        about: "clippy has nothing to say",
        load: Load::Busy,
        run: |_| clippy(),
    },
    Group {
        name: "deny",
        about: "licences, sources and bans of the dependencies",
        load: Load::Busy,
        run: |_| deny(),
    },
    Group {
        name: "deploy",
        about: "Compose and systemd take the files that are for them",
        load: Load::Busy,
        run: |_| deploy::valid(),
    },
    Group {
        name: "unit",
        about: "the tests of each crate",
        load: Load::Busy,
        run: |_| unit(),
    },
    Group {
        name: "cassandra",
        about: "the tests of the store, on a real Cassandra",
        load: Load::Waits,
        run: |arguments| services::one_node(arguments),
    },
    Group {
        name: "cassandra-3",
        about: "a node of three dies while a server takes in and rolls up; afterwards all is there, once",
        load: Load::Waits,
        run: |arguments| services::three_nodes(arguments),
    },
    Group {
        name: "distributed",
        about: "servers and workers on a real Cassandra, RabbitMQ and Consul that are killed",
        load: Load::Waits,
        run: |arguments| services::distributed(arguments),
    },
    Group {
        name: "fuzz",
        about: "the readers of captures take anything, for a short time",
        load: Load::Busy,
        run: |_| fuzz::all(FUZZ_SECONDS),
    },
    Group {
        name: "e2e",
        about: "the page in Chromium, on a real server",
        load: Load::Waits,
        run: |_| end_to_end(None),
    },
    Group {
        name: "e2e-cassandra",
        about: "the same, with the server on Cassandra",
        load: Load::Waits,
        run: |_| services::with_cassandra("e2e", |store| end_to_end(Some(store))),
    },
    Group {
        name: "chisel",
        about: "what the chisels post, run by a real sysdig over real captures",
        load: Load::Programs,
        run: suite::with_sysdig,
    },
    Group {
        name: "e2e-docker",
        about: "both images in Docker, and the pages of real containers in Chromium, to the byte",
        load: Load::Programs,
        run: |_| containers_in_the_browser(None),
    },
    Group {
        name: "e2e-docker-cassandra",
        about: "the same, with the server on Cassandra",
        load: Load::Programs,
        run: |_| services::with_cassandra("docker", |store| containers_in_the_browser(Some(store))),
    },
    Group {
        name: "suite",
        about: "known workloads in Docker's containers on this host, to the byte",
        load: Load::Programs,
        run: suite::on_this_host,
    },
    Group {
        name: "vm-6.12",
        about: "the same in cgroups on Debian's 6.12, with either family of hooks",
        load: Load::Programs,
        run: |arguments| suite::in_guests(Kernel::V6_12, arguments),
    },
    Group {
        name: "vm-6.1",
        about: "the same in cgroups on Debian's 6.1, with either family of hooks",
        load: Load::Programs,
        run: |arguments| suite::in_guests(Kernel::V6_1, arguments),
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
    run(workspace_cargo("clippy").args(["--all-targets", "--", "-D", "warnings"]))
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
    // The suite and fuzzing are groups of their own.
    run(workspace_cargo("test").args(["--exclude", "bubble-suite", "--exclude", "bubble-fuzz"]))
}

fn page() -> Result<()> {
    install::node()?;
    ui::packages()?;
    for script in ["check", "test", "build"] {
        run(&mut ui::npm_run(script))?;
    }
    Ok(())
}

/// With SQLite, or on another store.
fn end_to_end(store: Option<&str>) -> Result<()> {
    install::chromium()?;
    install::node()?;
    ui::packages()?;
    ui::build()?;
    run(workspace_cargo("build").args(["--bin", "bubble-server", "--example", "page_batch"]))?;
    run(ui::npm_run("e2e")
        .env("BUBBLE_SERVER_BIN", built_program("bubble-server"))
        .env(
            "BUBBLE_PAGE_BATCH_BIN",
            built_program("examples/page_batch"),
        )
        .envs(store.map(|store| ("BUBBLE_STORE", store))))
}

/// With SQLite, or on another store.
fn containers_in_the_browser(store: Option<&str>) -> Result<()> {
    need_root()?;
    install::chromium()?;
    install::node()?;
    ui::packages()?;
    let programs = build::programs(Profile::Release)?;
    let _daemon = Daemon::ensure()?;
    image::build_with_workload(&programs)?;
    run(ui::npm_run("e2e:docker").envs(store.map(|store| ("BUBBLE_STORE", store))))
}

/// Where `cargo build` put a program.
fn built_program(name: &str) -> PathBuf {
    project::target().join("debug").join(name)
}
