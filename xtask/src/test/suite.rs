//! The privileged suite, on this host and in guests.
//!
//! The suite is a static program. Variables say where the other programs are; the crate
//! bubble-suite lists them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::context::{Run, need_root};
use crate::build::{self, Profile, workspace_cargo};
use crate::command::{output, run};
use crate::docker::Daemon;
use crate::flags::Kernel;
use crate::vm::Guest;
use crate::{install, project};

/// The test programs.
const SUITE: &str = "suite";
const CHISEL: &str = "chisel";

/// Fewer repetitions of some tests: in guests, and on this host without `--all`.
const FEW_REPEATS: [(&str, &str); 5] = [
    ("BUBBLE_KILLS", "3"),
    ("BUBBLE_PIN_KILLS", "3"),
    ("BUBBLE_AWAY_SECONDS", "20"),
    ("BUBBLE_FOLDERS", "600"),
    ("BUBBLE_RESTARTS", "5"),
];
/// The guests of a group.
pub(super) struct Guests {
    kernel: Kernel,
    /// Filters of the tests that run; none: all.
    tests: &'static [&'static str],
    /// Their clock counts the instructions of one processor. Nothing on the host changes what they
    /// measure, and waiting takes no time. Else two processors, in real time.
    instruction_clock: bool,
    /// The factor for timeouts.
    patience: &'static str,
}

/// All tests on a kernel with trampolines.
pub(super) const NEWER: Guests = Guests {
    kernel: Kernel::V6_12,
    tests: &[],
    instruction_clock: true,
    patience: "3",
};
/// The tests of what differs between kernels (functions that hooks are attached to, and layouts), with
/// processes on two processors at once. The host may be three times slower than others.
pub(super) const OLDER: Guests = Guests {
    kernel: Kernel::V6_1,
    tests: &[
        "cpu::",
        "file::io_",
        "file::opens",
        "file::pread",
        "file::renamed",
        "file::splice",
        "memory::held",
        "memory::out_of_memory",
        "mixed::every_byte",
        "network::multipath",
        "network::refused",
        "network::tcp_read_write",
        "network::udp_ipv6",
        "network::unix_stream_read_write",
        "process::a_container_that",
        "time::",
    ],
    instruction_clock: false,
    patience: "15",
};
/// Repetitions with `--all`. Without these variables, the suite repeats as often as it must show
/// once: 20 kills, 100 restarts, 10,000 files, an outage of two minutes.
const MORE_REPEATS: [(&str, &str); 5] = [
    ("BUBBLE_KILLS", "8"),
    ("BUBBLE_AWAY_SECONDS", "60"),
    ("BUBBLE_MIXED_SECONDS", "60"),
    ("BUBBLE_FOLDERS", "3000"),
    ("BUBBLE_RESTARTS", "20"),
];
/// The tests whose programs a guest lacks. Others of their kinds run there.
const NOT_IN_GUESTS: [&str; 3] = ["mixed::programs", "mounts::btrfs", "mounts::xfs"];
/// The tests that run in guests only if they are asked for. They are about the agent as a program, and
/// start more agents, whose programs an emulated kernel takes minutes to load; or they need processes
/// that start within a second.
const SLOW_IN_GUESTS: [&str; 10] = [
    "away::",
    "container::",
    "fresh::",
    "kill::",
    "lives::lives_shorter",
    "log::",
    "pins::",
    "process::six_thousand",
    "refused::",
    "run::",
];
/// The families of hooks.
const FAMILIES: [&str; 2] = ["vfs", "syscall"];
/// Time after which a guest is taken for hanging.
const GUEST_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs the suite in containers of a real Docker daemon.
pub(super) fn on_this_host(test: &Run) -> Result<()> {
    need_root()?;
    install::suite()?;
    let programs = build::programs(Profile::Dev)?;
    let suite = compile(SUITE)?;
    let _daemon = Daemon::ensure()?;
    let mut command = command(&suite, &programs, &test.arguments)?;
    command.env("BUBBLE_RUNNER", "docker");
    command.envs(if test.all {
        MORE_REPEATS.to_vec()
    } else {
        FEW_REPEATS.to_vec()
    });
    run(&mut command)
}

/// Kills agent and server under load for so many minutes, in containers of a real Docker daemon.
pub(super) fn soak(minutes: u32) -> Result<()> {
    need_root()?;
    install::suite()?;
    let programs = build::programs(Profile::Dev)?;
    let suite = compile(SUITE)?;
    let _daemon = Daemon::ensure()?;
    let arguments = ["soak::", "--ignored", "--nocapture"].map(str::to_owned);
    let mut command = command(&suite, &programs, &arguments)?;
    command.env("BUBBLE_RUNNER", "docker");
    command.env("BUBBLE_SOAK_MINUTES", minutes.to_string());
    run(&mut command)
}

/// Runs the tests of the chisels with a real sysdig.
pub(super) fn with_sysdig(test: &Run) -> Result<()> {
    install::sysdig()?;
    let programs = build::programs(Profile::Dev)?;
    run(&mut command(&compile(CHISEL)?, &programs, &test.arguments)?)
}

/// A test program on this host, with the paths of the programs in variables.
fn command(tests: &Path, programs: &[PathBuf], arguments: &[String]) -> Result<Command> {
    let mut command = Command::new(tests);
    command.current_dir(project::root()).args(arguments);
    for program in programs {
        command.env(variable(program)?, program);
    }
    Ok(command)
}

/// Runs the suite in two guests side by side, one for each family of hooks. Each is emulated by one
/// thread. Arguments of the run replace the filters of the group.
pub(super) fn in_guests(guests: &Guests, test: &Run) -> Result<()> {
    let kernel = guests.kernel;
    let arguments: Vec<String> = match test.arguments.as_slice() {
        [] => guests.tests.iter().copied().map(str::to_owned).collect(),
        given => given.to_vec(),
    };
    let programs = build::programs(Profile::Dev)?;
    let suite = compile(SUITE)?;
    kernel.ensure()?;
    let run = |hooks: &str| {
        let mut guest = guest(guests, hooks, &programs, &suite, &arguments)?;
        if test.arguments.is_empty() {
            let skipped = SLOW_IN_GUESTS.iter().flat_map(|tests| ["--skip", tests]);
            guest.command.extend(skipped.map(str::to_owned));
        }
        let code = guest.run(&mut |line| println!("{hooks:8}{line}"))?;
        anyhow::ensure!(
            code == 0,
            "the suite ended with {code} on Debian's {} with hooks {hooks}",
            kernel.name()
        );
        anyhow::Ok(())
    };
    thread::scope(|scope| {
        let run = &run;
        let threads = FAMILIES.map(|hooks| scope.spawn(move || run(hooks)));
        // Waits for all, and reports each error.
        let mut failed = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed.push(format!("{error:#}")),
                Err(_) => failed.push("the thread of a guest panicked".to_owned()),
            }
        }
        anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n"));
        Ok(())
    })
}

fn guest(
    guests: &Guests,
    hooks: &str,
    programs: &[PathBuf],
    suite: &Path,
    arguments: &[String],
) -> Result<Guest> {
    let mut guest = Guest {
        kernel: guests.kernel,
        memory: 3072,
        instruction_clock: guests.instruction_clock,
        time_limit: GUEST_TIMEOUT,
        files: vec![("/bin/suite".to_owned(), suite.to_path_buf())],
        variables: [("BUBBLE_RUNNER", "cgroup"), ("BUBBLE_HOOKS", hooks)]
            .into_iter()
            .chain(FEW_REPEATS)
            .chain([("BUBBLE_PATIENCE", guests.patience)])
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        command: std::iter::once("suite".to_owned())
            .chain(arguments.iter().cloned())
            .chain(
                NOT_IN_GUESTS
                    .iter()
                    .flat_map(|test| ["--skip", test])
                    .map(str::to_owned),
            )
            .collect(),
    };
    for program in programs {
        guest.add_program(program)?;
        let path = format!("/bin/{}", name(program)?);
        guest.variables.push((variable(program)?, path));
    }
    Ok(guest)
}

fn name(program: &Path) -> Result<&str> {
    let name = program.file_name().and_then(|name| name.to_str());
    name.with_context(|| format!("{} has no usable name", program.display()))
}

/// The variable that tells the suite where a program is: `BUBBLE_AGENT_BIN`.
fn variable(program: &Path) -> Result<String> {
    Ok(format!(
        "{}_BIN",
        name(program)?.replace('-', "_").to_uppercase()
    ))
}

/// Compiles one of the suite's test programs and returns its path.
fn compile(tests: &str) -> Result<PathBuf> {
    let mut command = workspace_cargo("test");
    command.args(["--test", tests, "--no-run"]);
    run(command.arg("--quiet"))?;
    // Runs Cargo again for the path. Nothing is left to compile, so no message is hidden.
    let messages = output(command.arg("--message-format=json"))?;
    executable(&messages).with_context(|| format!("cargo did not say where it put {tests}"))
}

/// The path in the last of Cargo's messages with an executable.
fn executable(messages: &str) -> Option<PathBuf> {
    let path = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    };
    messages.lines().filter_map(path).next_back()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{executable, variable};

    #[test]
    fn the_path_is_parsed_from_the_messages_of_cargo() {
        let messages = r#"{"reason":"compiler-artifact","executable":null}
{"reason":"compiler-artifact","executable":"/t/suite-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/suite-1")));
        assert_eq!(executable(""), None);
    }

    #[test]
    fn the_variable_of_a_program_has_its_name() {
        assert_eq!(
            variable(Path::new("/t/bubble-agent")).unwrap(),
            "BUBBLE_AGENT_BIN"
        );
    }
}
