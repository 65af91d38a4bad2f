//! The overhead in instructions, in a guest with a clock that counts instructions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use super::measured::{
    Case, EMPTY_HOOKS, EMPTY_VARIANT, LoopResult, Measured, UNOBSERVED, report_all,
};
use crate::bench::example::Report;
use crate::command::say;
use crate::flags::Kernel;
use crate::vm::Guest;

/// A shell function that runs an agent. Its arguments are the program and the family of hooks.
const AGENT_FUNCTION: &str = "agent() { exec $1 --server http://127.0.0.1:1 --api none \
                              --cgroup /bench --spool /tmp/spool --hooks $2; }\n";

/// Each variant with the command of its observer.
const VARIANTS: &[(&str, Option<&str>)] = &[
    (UNOBSERVED, None),
    ("other-vfs", Some("agent other-agent vfs")),
    ("ours-vfs", Some("agent bubble-agent vfs")),
    ("other-syscall", Some("agent other-agent syscall")),
    ("ours-syscall", Some("agent bubble-agent syscall")),
    (EMPTY_VARIANT, Some(EMPTY_HOOKS)),
];
/// The program of the variants that need another build of the agent, in the guest.
const OTHER_AGENT: &str = "other-agent";

/// Rounds are many and short. The guest has one processor, so a round can contain the work that the
/// agent does each second; the median round does not.
const ROUNDS: u32 = 41;
/// A round has so many times fewer operations than on a host.
const COUNT_DIVISOR: u64 = 50;

/// Time for the guest to finish its start, and for an observer without a log to attach.
const ATTACH_DELAY: Duration = Duration::from_secs(8);
/// Waits until an agent counts. Its programs take an emulated kernel longer to load than any fixed time.
const ATTACHED: &str = "n=0; until grep -q counting /tmp/observer.log; do\n\
                        n=$((n + 1)); [ $n -lt 600 ] || { cat /tmp/observer.log; exit 1; }\n\
                        sleep 1\ndone\n";

pub(super) fn run(
    programs: &[PathBuf],
    other: Option<&Path>,
    cases: &[Case],
    report: &mut Report<'_>,
) -> Result<()> {
    let kernel = Kernel::V6_12;
    let mut files = Vec::new();
    if let Some(other) = other {
        files.push((format!("/bin/{OTHER_AGENT}"), other.to_path_buf()));
    }
    let is_possible = |observer: &Option<&str>| {
        other.is_some() || !observer.is_some_and(|observer| observer.contains(OTHER_AGENT))
    };
    let location = format!("debian-{}", kernel.name());
    let mut measured = Vec::new();
    for (variant, observer) in VARIANTS.iter().filter(|(_, one)| is_possible(one)) {
        say(format!("overhead in {location}: {variant}"));
        for result in boot(kernel, programs, &files, cases, *observer)? {
            measured.push(Measured {
                case: result.case,
                variant: (*variant).to_owned(),
                rounds: vec![result.median_ns],
                min: result.min_ns,
            });
        }
    }
    report_all(&location, "instructions", cases, &measured, report)
}

fn boot(
    kernel: Kernel,
    programs: &[PathBuf],
    files: &[(String, PathBuf)],
    cases: &[Case],
    observer: Option<&str>,
) -> Result<Vec<LoopResult>> {
    let mut guest = Guest {
        kernel,
        memory: 1024,
        instruction_clock: true,
        time_limit: Duration::from_secs(600),
        files: files.to_vec(),
        variables: Vec::new(),
        command: ["sh", "-c", &script(cases, observer)]
            .map(str::to_owned)
            .to_vec(),
    };
    for program in programs {
        guest.add_program(program)?;
    }
    let mut results = Vec::new();
    let mut lines = Vec::new();
    let code = guest.run(&mut |line| match serde_json::from_str(line) {
        Ok(result) => results.push(result),
        Err(_) => lines.push(line.to_owned()),
    })?;
    if code != 0 || results.len() != cases.len() {
        bail!(
            "the guest measured {} cases and ended with {code}:\n{}",
            results.len(),
            lines.join("\n")
        );
    }
    Ok(results)
}

fn script(cases: &[Case], observer: Option<&str>) -> String {
    let mut script = String::from("mkdir /sys/fs/cgroup/bench || exit\n");
    script.push_str(AGENT_FUNCTION);
    if let Some(observer) = observer {
        script.push_str(&format!(
            "{observer} >/tmp/observer.log 2>&1 &\nobserver=$!\n"
        ));
    }
    if observer.is_some_and(|observer| observer.starts_with("agent ")) {
        script.push_str(ATTACHED);
    }
    script.push_str(&format!("sleep {}\n", ATTACH_DELAY.as_secs()));
    if observer.is_some() {
        // An observer that has exited would seem to cost nothing.
        script.push_str("kill -0 $observer || { cat /tmp/observer.log; exit 1; }\n");
    }
    script.push_str("echo $$ >/sys/fs/cgroup/bench/cgroup.procs || exit\n");
    for (case, count) in cases {
        let count = (count / COUNT_DIVISOR).max(5);
        script.push_str(&format!(
            "bubble-workload loop {case} --count {count} --rounds {ROUNDS} || exit\n"
        ));
    }
    if observer.is_some() {
        script.push_str("kill -0 $observer || { cat /tmp/observer.log; exit 1; }\n");
    }
    script
}
