//! The privileged suite, on this host and in guests.
//!
//! The suite is a static program. Variables say where the other programs are; the crate
//! bubble-suite lists them.

use std::env;
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
    ("BUBBLE_KILLS", "2"),
    ("BUBBLE_PIN_KILLS", "2"),
    ("BUBBLE_AWAY_SECONDS", "10"),
    ("BUBBLE_FOLDERS", "400"),
    ("BUBBLE_RESTARTS", "4"),
];
/// The guests of a group, one for each family of hooks.
pub(super) struct Guests {
    kernel: Kernel,
    /// With `vfs` hooks and with `syscall` hooks.
    families: [Family; 2],
}

/// A guest with one family of hooks.
struct Family {
    hooks: &'static str,
    /// Filters of the tests that run; none: all.
    tests: &'static [&'static str],
    /// Its clock counts the instructions of one processor. Nothing on the host changes what it measures,
    /// and waiting takes no time. Else two processors, in real time.
    instruction_clock: bool,
}

/// All tests on a kernel with trampolines. With `syscall` hooks the suite runs on this host too.
pub(super) const NEWER: Guests = Guests {
    kernel: Kernel::V6_12,
    families: [
        Family {
            hooks: "vfs",
            tests: &[],
            instruction_clock: true,
        },
        Family {
            hooks: "syscall",
            tests: DEPENDS_ON_KERNEL,
            instruction_clock: true,
        },
    ],
};
/// What differs between kernels; processes on two processors at once with one of the families.
pub(super) const OLDER: Guests = Guests {
    kernel: Kernel::V6_1,
    families: [
        Family {
            hooks: "vfs",
            tests: DEPENDS_ON_KERNEL,
            instruction_clock: false,
        },
        Family {
            hooks: "syscall",
            tests: DEPENDS_ON_KERNEL,
            instruction_clock: true,
        },
    ],
};
/// The tests of what differs between kernels: functions that hooks are attached to, and layouts.
const DEPENDS_ON_KERNEL: &[&str] = &[
    "cpu::",
    "doctor::",
    "file::io_",
    "file::opens",
    "file::pread",
    "file::renamed",
    "file::splice",
    "memory::held",
    "memory::out_of_memory",
    "mixed::every_byte",
    "network::connections_of_io_uring",
    "network::multipath",
    "network::refused",
    "network::tcp_read_write",
    "network::udp_ipv6",
    "network::unix_stream_read_write",
    "process::a_container_that",
    "time::",
];
/// Factors for timeouts: in a guest whose clock counts instructions, and in one in real time: the host
/// may be three times slower than others.
const TIMEOUT_FACTORS: [&str; 2] = ["3", "15"];
/// Repetitions with `--all`, unless the caller sets these variables. The issues ask for 20 kills, 100
/// restarts, 10,000 files, an hour of mixed load and an outage of two minutes once.
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
const SLOW_IN_GUESTS: [&str; 12] = [
    "away::",
    "container::",
    "fresh::",
    "kill::",
    "lives::lives_shorter",
    "log::",
    "pins::",
    "process::six_thousand",
    "refused::",
    "reuse::",
    "run::",
    "sockets::",
];
/// Time after which a guest is taken for hanging. In the background it has to wait for others.
const GUEST_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// The repetitions, as `defaults` or as the caller sets them: an hour of mixed load, for instance.
fn repeats(defaults: &[(&str, &str)]) -> Vec<(String, String)> {
    let value = |(name, default): &(&str, &str)| {
        let value = env::var(name).unwrap_or_else(|_| (*default).to_owned());
        ((*name).to_owned(), value)
    };
    defaults.iter().map(value).collect()
}

/// Runs the suite in containers of a real Docker daemon.
pub(super) fn on_this_host(test: &mut Run) -> Result<()> {
    need_root()?;
    install::suite()?;
    let programs = build::programs(Profile::Dev)?;
    let suite = compile(SUITE)?;
    let _daemon = Daemon::ensure()?;
    test.waits()?;
    let mut command = command(&suite, &programs, &test.arguments)?;
    command.env("BUBBLE_RUNNER", "docker");
    command.envs(repeats(if test.all {
        &MORE_REPEATS
    } else {
        &FEW_REPEATS
    }));
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

/// Runs the suite in two guests side by side, one for each family of hooks. Arguments of the run replace
/// the filters of both.
pub(super) fn in_guests(guests: &Guests, test: &Run) -> Result<()> {
    let programs = build::programs(Profile::Dev)?;
    let suite = compile(SUITE)?;
    guests.kernel.ensure()?;
    let run = |family: &Family| {
        let guest = guest(guests.kernel, family, &programs, &suite, &test.arguments)?;
        let hooks = family.hooks;
        let code = guest.run(&mut |line| println!("{hooks:8}{line}"))?;
        anyhow::ensure!(
            code == 0,
            "the suite ended with {code} on Debian's {} with hooks {hooks}",
            guests.kernel.name()
        );
        anyhow::Ok(())
    };
    thread::scope(|scope| {
        let run = &run;
        let families = guests.families.iter();
        let threads: Vec<_> = families
            .map(|family| scope.spawn(move || run(family)))
            .collect();
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
    kernel: Kernel,
    family: &Family,
    programs: &[PathBuf],
    suite: &Path,
    arguments: &[String],
) -> Result<Guest> {
    let [by_instructions, in_real_time] = TIMEOUT_FACTORS;
    let patience = if family.instruction_clock {
        by_instructions
    } else {
        in_real_time
    };
    let mut command = vec!["suite".to_owned()];
    command.extend_from_slice(arguments);
    let mut skipped: Vec<&str> = NOT_IN_GUESTS.to_vec();
    if arguments.is_empty() {
        command.extend(family.tests.iter().copied().map(str::to_owned));
        skipped.extend(SLOW_IN_GUESTS);
    }
    let skipped = skipped.iter().flat_map(|tests| ["--skip", tests]);
    command.extend(skipped.map(str::to_owned));
    let mut guest = Guest {
        kernel,
        memory: 3072,
        instruction_clock: family.instruction_clock,
        time_limit: GUEST_TIMEOUT,
        files: vec![("/bin/suite".to_owned(), suite.to_path_buf())],
        variables: [
            ("BUBBLE_RUNNER", "cgroup"),
            ("BUBBLE_HOOKS", family.hooks),
            ("BUBBLE_PATIENCE", patience),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain(repeats(&FEW_REPEATS))
        .collect(),
        command,
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
