//! The overhead in instructions, in a guest whose clock counts them.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};

use super::{Case, EMPTY, EMPTY_VARIANT, Loop, Measured, NONE, Report, report_all};
use crate::{
    command::say,
    vm::{Guest, Kernel},
};

/// The agent, as a function of the shell, told how to hook.
const AGENT: &str = "agent() { exec bubble-agent --server http://127.0.0.1:1 --api none --cgroup /bench \
                     --spool /tmp/spool --hooks $1; }\n";

/// Each with the observer that is started, if any.
const VARIANTS: &[(&str, Option<&str>)] = &[
    (NONE, None),
    ("ours-vfs", Some("agent vfs")),
    ("ours-syscall", Some("agent syscall")),
    (EMPTY_VARIANT, Some(EMPTY)),
];

/// Rounds are many and short: the guest has one processor, so a round in which the agent did its
/// work of the second contains that work; the middle one of all rounds does not.
const ROUNDS: u32 = 41;
const SHORTER: u64 = 50;

/// Until the guest has nothing left of its start to do, and the agent has attached.
const SETTLE_S: u32 = 8;

pub(super) fn run(programs: &[PathBuf], cases: &[Case], report: &mut Report<'_>) -> Result<()> {
    let kernel = Kernel::V6_12;
    let place = format!("debian-{}", kernel.name());
    let mut measured = Vec::new();
    for (variant, observer) in VARIANTS {
        say(format!("overhead in {place}: {variant}"));
        for found in boot(kernel, programs, cases, *observer)? {
            measured.push(Measured {
                case: found.case,
                variant: (*variant).to_owned(),
                turns: vec![found.median_ns],
                best: found.min_ns,
            });
        }
    }
    report_all(&place, "instructions", cases, &measured, report)
}

fn boot(
    kernel: Kernel,
    programs: &[PathBuf],
    cases: &[Case],
    observer: Option<&str>,
) -> Result<Vec<Loop>> {
    let mut guest = Guest {
        kernel,
        memory: 1024,
        instruction_clock: true,
        time_limit: Duration::from_secs(600),
        files: Vec::new(),
        variables: Vec::new(),
        command: ["sh", "-c", &script(cases, observer)]
            .map(str::to_owned)
            .to_vec(),
    };
    for program in programs {
        guest.add_program(program)?;
    }
    let mut found = Vec::new();
    let mut lines = Vec::new();
    let code = guest.run(&mut |line| match serde_json::from_str(line) {
        Ok(result) => found.push(result),
        Err(_) => lines.push(line.to_owned()),
    })?;
    if code != 0 || found.len() != cases.len() {
        bail!(
            "the guest measured {} cases and ended with {code}:\n{}",
            found.len(),
            lines.join("\n")
        );
    }
    Ok(found)
}

fn script(cases: &[Case], observer: Option<&str>) -> String {
    let mut script = String::from("mkdir /sys/fs/cgroup/bench || exit\n");
    script.push_str(AGENT);
    if let Some(observer) = observer {
        script.push_str(&format!(
            "{observer} >/tmp/observer.log 2>&1 &\nobserver=$!\n"
        ));
    }
    script.push_str(&format!("sleep {SETTLE_S}\n"));
    if observer.is_some() {
        // One that has ended counts nothing, and would be found to cost nothing.
        script.push_str("kill -0 $observer || { cat /tmp/observer.log; exit 1; }\n");
    }
    script.push_str("echo $$ >/sys/fs/cgroup/bench/cgroup.procs || exit\n");
    for (case, count) in cases {
        let count = (count / SHORTER).max(5);
        script.push_str(&format!(
            "bubble-workload loop {case} --count {count} --rounds {ROUNDS} || exit\n"
        ));
    }
    if observer.is_some() {
        script.push_str("kill -0 $observer || { cat /tmp/observer.log; exit 1; }\n");
    }
    script
}
