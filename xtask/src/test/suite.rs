//! The privileged suite, on this host and in virtual machines: one static program, which is told
//! by variables where the other programs are (the list is in the head of the crate bubble-suite).

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::need_root;
use crate::{
    build::{self, Profile},
    command::{output, run},
    docker::Daemon,
    install, project,
    vm::{Guest, Kernel},
};

/// The programs of tests.
pub(super) const SUITE: &str = "suite";
pub(super) const CHISEL: &str = "chisel";

/// What is other in an emulated guest: it is slower than a host by so much when the suite waits, and
/// what is to hold at random times is tried a few times, as the host does that often.
const IN_GUEST: [(&str, &str); 3] = [
    ("BUBBLE_PATIENCE", "5"),
    ("BUBBLE_KILLS", "3"),
    ("BUBBLE_AWAY_SECONDS", "20"),
];
/// The hooks that the agent has.
const FAMILIES: [&str; 2] = ["vfs", "syscall"];
/// A guest that has not ended by then never will.
const TIME_LIMIT: Duration = Duration::from_secs(15 * 60);

/// In containers of a real Docker daemon.
pub(super) fn on_this_host(arguments: &[String]) -> Result<()> {
    need_root()?;
    let programs = build::programs(Profile::Release)?;
    let suite = compile(SUITE)?;
    let _daemon = Daemon::ensure()?;
    run(command(&suite, &programs, arguments)?.env("BUBBLE_RUNNER", "docker"))
}

/// With what a real sysdig's chisels post.
pub(super) fn with_sysdig(arguments: &[String]) -> Result<()> {
    install::sysdig()?;
    let programs = build::programs(Profile::Release)?;
    run(&mut command(&compile(CHISEL)?, &programs, arguments)?)
}

/// A program of tests on this host, told where the programs are.
fn command(tests: &Path, programs: &[PathBuf], arguments: &[String]) -> Result<Command> {
    let mut command = Command::new(tests);
    command.current_dir(project::root()).args(arguments);
    for program in programs {
        command.env(variable(program)?, program);
    }
    Ok(command)
}

/// In cgroups of two guests that run side by side, one with each family of hooks: either mostly
/// waits, and is emulated by one thread.
pub(super) fn in_guests(kernel: Kernel, arguments: &[String]) -> Result<()> {
    let programs = build::programs(Profile::Release)?;
    let suite = compile(SUITE)?;
    kernel.ensure()?;
    let run = |hooks: &str| {
        let guest = guest(kernel, hooks, &programs, &suite, arguments)?;
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
        // All are waited for, and what went wrong is told of each.
        let mut failed = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed.push(format!("{error:#}")),
                Err(_) => failed.push("a thread that runs a guest has panicked".to_owned()),
            }
        }
        anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n"));
        Ok(())
    })
}

fn guest(
    kernel: Kernel,
    hooks: &str,
    programs: &[PathBuf],
    suite: &Path,
    arguments: &[String],
) -> Result<Guest> {
    let mut guest = Guest {
        kernel,
        memory: 3072,
        instruction_clock: false,
        time_limit: TIME_LIMIT,
        files: vec![("/bin/suite".to_owned(), suite.to_path_buf())],
        variables: [("BUBBLE_RUNNER", "cgroup"), ("BUBBLE_HOOKS", hooks)]
            .into_iter()
            .chain(IN_GUEST)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        command: std::iter::once("suite".to_owned())
            .chain(arguments.iter().cloned())
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

/// Compiles one of the suite's programs of tests and gives its path.
fn compile(tests: &str) -> Result<PathBuf> {
    let mut command = build::static_tests(tests);
    run(command.arg("--quiet"))?;
    // Again, for its path, now that there is nothing to compile and no message to be shown.
    let messages = output(command.arg("--message-format=json"))?;
    executable(&messages).with_context(|| format!("cargo did not say where it put {tests}"))
}

/// The path in the last of Cargo's messages that has one.
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
    fn the_path_is_read_from_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","executable":null}
{"reason":"compiler-artifact","executable":"/t/suite-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/suite-1")));
        assert_eq!(executable(""), None);
    }

    #[test]
    fn variables_are_those_of_the_suite() {
        assert_eq!(
            variable(Path::new("/t/bubble-agent")).unwrap(),
            "BUBBLE_AGENT_BIN"
        );
    }
}
