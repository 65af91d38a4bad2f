//! The table of test groups, and the functions that run the simple ones.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::context::{Run, need_root};
use super::{deploy, services, suite};
use crate::build::{self, Profile, workspace_cargo};
use crate::command::{cargo, run, say, shown};
use crate::docker::Daemon;
use crate::{build_ebpf, fuzz, image, install, project, simulate, ui};

/// One row of the table.
pub(super) struct Group {
    pub(super) name: &'static str,
    /// What it runs.
    pub(super) about: &'static str,
    /// What only this group finds. A group without an answer should not exist.
    pub(super) finds: &'static str,
    /// Whether it runs with `--all` alone.
    pub(super) all_only: bool,
    /// The group with which it begins in the background, if both are chosen: see [`super::beside`].
    pub(super) beside: Option<&'static str>,
    pub(super) run: fn(&mut Run) -> Result<()>,
}

/// Seconds to fuzz each target.
const FUZZ_SECONDS: u32 = 20;
/// Pattern of the names of the page's tests that depend on the store.
const STORE_TESTS: &str = "sums of a range|missing data|a change is on the page|restarted server";

/// What cargo-deny prints if it has no database of vulnerabilities.
const NO_ADVISORIES: &str = "failed to fetch advisory database";

/// In the order in which they run. The page comes before everything that embeds it.
pub(super) const GROUPS: &[Group] = &[
    Group {
        name: "fmt",
        about: "the Rust code is formatted",
        finds: "code that cargo fmt would change",
        all_only: false,
        beside: None,
        run: |_| fmt(),
    },
    Group {
        name: "ui",
        about: "the page: its types, its tests, its build",
        finds: "mistakes in the page's code, without a browser",
        all_only: false,
        beside: None,
        run: |_| page(),
    },
    Group {
        name: "unit",
        about: "the tests of each crate",
        finds: "wrong results of one crate: readers, segments, SQLite, queries, the API",
        all_only: false,
        beside: None,
        run: |_| unit(),
    },
    Group {
        name: "e2e",
        about: "the page in Chromium, on a real server",
        finds: "what only a browser shows: charts, keys, live streams, layout",
        all_only: false,
        beside: None,
        run: |_| end_to_end(None),
    },
    Group {
        name: "suite",
        about: "known workloads in Docker's containers on this host, to the byte",
        finds: "wrong numbers of the agent on this kernel",
        all_only: false,
        beside: None,
        run: |run| suite::on_this_host(run),
    },
    Group {
        name: "clippy",
        about: "clippy reports no warnings",
        finds: "code that compiles and looks wrong, in all crates with their tests",
        all_only: false,
        // The tests of the suite wait for the next second.
        beside: Some("suite"),
        run: |_| clippy(),
    },
    Group {
        name: "unused",
        about: "no crate declares a dependency that it does not use",
        finds: "a dependency that makes building slower for nothing",
        all_only: true,
        beside: None,
        run: |_| unused(),
    },
    Group {
        name: "deny",
        about: "licences, sources, bans and known vulnerabilities of the dependencies",
        finds: "a dependency that must not be shipped",
        all_only: true,
        beside: None,
        run: |_| deny(),
    },
    Group {
        name: "kernel-side",
        about: "compiling the kernel side again gives the bytes that are checked in",
        finds: "an object that is not made from its sources",
        all_only: true,
        beside: None,
        run: |_| build_ebpf::verify(),
    },
    Group {
        name: "deploy",
        about: "Compose and systemd accept docker-compose.yml and the units",
        finds: "a mistake in docker-compose.yml or in a unit",
        all_only: true,
        beside: None,
        run: |_| deploy::valid(),
    },
    Group {
        name: "fuzz",
        about: "the parsers of untrusted input, for a short time",
        finds: "input that makes a parser panic, hang or take too much memory",
        all_only: true,
        beside: None,
        run: |_| fuzz::all(FUZZ_SECONDS),
    },
    Group {
        name: "simulation",
        about: "spool, sender, ingest and store over a simulated disk, network and clock: the same seeds each time",
        finds: "seconds that are lost or count twice after faults that follow each other",
        all_only: true,
        beside: None,
        run: |_| simulate::test(),
    },
    Group {
        name: "chisel",
        about: "what the chisels post, run by a real sysdig over real captures",
        finds: "a mistake in the Lua, or a change of the legacy wire",
        all_only: true,
        beside: None,
        run: |run| suite::with_sysdig(run),
    },
    Group {
        name: "e2e-docker",
        about: "both images in Docker, and the pages of real containers in Chromium, to the byte",
        finds: "what an image lacks; how soon a write is on the page",
        all_only: true,
        beside: None,
        run: |_| containers_in_the_browser(),
    },
    Group {
        name: "cassandra-3",
        about: "a node of three dies while a server ingests and rolls up; no data is lost or doubled",
        finds: "what is lost or doubled when a node dies",
        all_only: true,
        beside: None,
        run: |run| {
            run.waits()?;
            services::three_nodes(&mut run.services, &run.arguments)
        },
    },
    Group {
        name: "cassandra",
        about: "the tests of the store, on a real Cassandra",
        finds: "what SQLite accepts and Cassandra does not",
        all_only: true,
        beside: None,
        run: |run| services::one_node(&mut run.services, &run.arguments),
    },
    Group {
        name: "distributed",
        about: "servers and workers on a real Cassandra, RabbitMQ and Consul that are killed",
        finds: "what is lost or doubled when one of several servers or the queue dies",
        all_only: true,
        beside: None,
        run: |run| services::distributed(&mut run.services, &run.arguments),
    },
    Group {
        name: "e2e-store",
        about: "a live page and a restarted server in Chromium, with the server on Cassandra",
        finds: "a page that works with SQLite alone",
        all_only: true,
        beside: None,
        run: |run| {
            let store = run.services.new_keyspace("e2e")?;
            end_to_end(Some(&store))
        },
    },
    Group {
        name: "vm-6.12",
        about: "the suite in cgroups on Debian's 6.12: without slow tests that depend on no kernel with `vfs` hooks, what differs between kernels with `syscall` hooks",
        finds: "wrong numbers of hooks that need trampolines; pure cgroup v2",
        all_only: true,
        // The groups from there on wait for nodes that start and die.
        beside: Some("cassandra-3"),
        run: |run| suite::in_guests(&suite::NEWER, run),
    },
    Group {
        name: "vm-6.1",
        about: "the suite's tests of what differs between kernels, on Debian's 6.1, with either family of hooks, in real time on two processors with `vfs` hooks",
        finds: "wrong numbers on the oldest kernel that is supported here; trampolines on two processors",
        all_only: true,
        beside: None,
        run: |run| suite::in_guests(&suite::OLDER, run),
    },
];

fn fmt() -> Result<()> {
    run(cargo("fmt").args(["--all", "--check"]))?;
    run(cargo("fmt")
        .arg("--check")
        .current_dir(project::root().join("agent-ebpf")))
}

fn clippy() -> Result<()> {
    install::cxx()?;
    run(workspace_cargo("clippy").args(["--all-targets", "--", "-D", "warnings"]))
}

fn deny() -> Result<()> {
    let deny = install::cargo_deny()?;
    for manifest in ["Cargo.toml", "agent-ebpf/Cargo.toml"] {
        let check = |what: &[&str]| {
            let mut command = Command::new(&deny);
            command
                .current_dir(project::root())
                .args([
                    "--manifest-path",
                    manifest,
                    "--config",
                    "deny.toml",
                    "check",
                ])
                .args(what);
            command
        };
        run(&mut check(&["licenses", "bans", "sources"]))?;
        advisories(&mut check(&["advisories"]))?;
    }
    Ok(())
}

/// Looks for known vulnerabilities, if the database of them can be fetched.
fn advisories(command: &mut Command) -> Result<()> {
    say(shown(command));
    let output = command.stdout(Stdio::inherit()).output();
    let output = output.context("cannot start cargo-deny")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    eprint!("{errors}");
    if errors.contains(NO_ADVISORIES) {
        println!("NOT TESTED: known vulnerabilities, as their database cannot be fetched");
        return Ok(());
    }
    ensure!(
        output.status.success(),
        "{} ended with {}",
        shown(command),
        output.status
    );
    Ok(())
}

fn unused() -> Result<()> {
    let machete = install::cargo_machete()?;
    for folder in [project::root(), project::root().join("agent-ebpf")] {
        run(Command::new(&machete).arg(folder))?;
    }
    Ok(())
}

fn unit() -> Result<()> {
    // The suite and fuzzing are groups of their own.
    run(workspace_cargo("test").args([
        "--exclude",
        "bubble-suite",
        "--exclude",
        "bubble-fuzz",
        "--no-fail-fast",
    ]))
}

fn page() -> Result<()> {
    install::node()?;
    ui::packages()?;
    for script in ["check", "test", "build"] {
        run(&mut ui::npm_run(script))?;
    }
    Ok(())
}

/// With SQLite: all tests. On another store: those that read what was just stored.
fn end_to_end(store: Option<&str>) -> Result<()> {
    install::chromium()?;
    install::nginx()?;
    install::node()?;
    ui::packages()?;
    build::programs(Profile::Dev)?;
    let page_batch = build::example("page_batch", Profile::Dev)?;
    let mut command = ui::npm_run("e2e");
    if let Some(store) = store {
        command
            .env("BUBBLE_STORE", store)
            .args(["--", "--testNamePattern", STORE_TESTS]);
    }
    run(command
        .env(
            "BUBBLE_SERVER_BIN",
            build::folder(Profile::Dev).join("bubble-server"),
        )
        .env("BUBBLE_PAGE_BATCH_BIN", page_batch))
}

fn containers_in_the_browser() -> Result<()> {
    need_root()?;
    install::chromium()?;
    install::node()?;
    ui::packages()?;
    let programs = build::programs(Profile::Dev)?;
    let _daemon = Daemon::ensure()?;
    image::build_with_workload(&programs)?;
    run(&mut ui::npm_run("e2e:docker"))
}
