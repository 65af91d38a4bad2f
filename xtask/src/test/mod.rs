//! `test`: all tests, in groups, the cheapest first. The plain command runs the groups that a
//! developer needs after a change, and `--all` runs those of CI.
//!
//! After a failed group, the next one still runs. A group that this machine cannot run is reported;
//! in CI it fails. At the end, a report shows the time of each group, its failed tests, and
//! everything that its tests could not test.

mod context;
mod deploy;
mod group;
mod record;
mod services;
mod suite;

use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Result, bail};

use self::context::{CannotRun, Run};
use self::group::{GROUPS, Group};
use self::record::Record;
use self::services::Services;
use crate::command::say;
use crate::{flags, tools};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

pub(crate) fn run(flags: &flags::Test) -> Result<ExitCode> {
    if flags.list {
        print!("{}", list());
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = select(flags)?;
    let strict = env::var_os("CI").is_some();
    let mut run = Run {
        all: flags.all,
        arguments: flags.arguments.clone(),
        services: Services::default(),
    };
    let tools = flags
        .all
        .then(|| tools::start(&record::log_path("tools")))
        .transpose()?;
    let mut results: Vec<(&Group, Outcome, Duration)> = Vec::new();
    for group in chosen {
        if !results.is_empty() {
            say(format!("so far: {}", so_far(&results)));
        }
        let record = Record::start(group.name)?;
        say(format!("test group {}: {}", group.name, group.about));
        let start = Instant::now();
        let outcome = run_group(group, &mut run, strict);
        drop(record);
        results.push((group, outcome, start.elapsed()));
    }
    run.services.stop()?;
    drop(tools);
    Ok(report(&results))
}

pub(crate) fn soak(flags: &flags::Soak) -> Result<ExitCode> {
    suite::soak(flags.minutes)?;
    Ok(ExitCode::SUCCESS)
}

/// The table of groups: the command that runs it, what it does, and what only it finds.
fn list() -> String {
    GROUPS
        .iter()
        .map(|group| {
            let scope = if group.all_only { "--all" } else { "" };
            format!(
                "{:12} {scope:6} {}\n{:20}finds: {}\n",
                group.name, group.about, "", group.finds
            )
        })
        .collect()
}

fn select(flags: &flags::Test) -> Result<Vec<&'static Group>> {
    let known = |name: &str| GROUPS.iter().any(|group| group.name == name);
    if let Some(unknown) = flags.only.iter().find(|name| !known(name)) {
        bail!("no test group {unknown}: `cargo xtask test --list` shows them");
    }
    let wanted = |group: &&Group| match flags.only.as_slice() {
        [] => flags.all || !group.all_only,
        only => only.iter().any(|name| name == group.name),
    };
    Ok(GROUPS.iter().filter(wanted).collect())
}

fn run_group(group: &Group, run: &mut Run, strict: bool) -> Outcome {
    match (group.run)(run) {
        Ok(()) => Outcome::Passed,
        Err(error) if error.is::<CannotRun>() && !strict => {
            say(format!("test group {} is SKIPPED: {error:#}", group.name));
            Outcome::Skipped
        }
        Err(error) => {
            say(format!("test group {} failed: {error:#}", group.name));
            Outcome::Failed
        }
    }
}

/// The groups that ended, in one line. The last lines of a log that was cut off show what took the time.
fn so_far(results: &[(&Group, Outcome, Duration)]) -> String {
    let total: Duration = results.iter().map(|(_, _, time)| *time).sum();
    let group = |(group, outcome, time): &(&Group, Outcome, Duration)| {
        let seconds = time.as_secs();
        match outcome {
            Outcome::Passed => format!("{} {seconds}", group.name),
            Outcome::Failed => {
                let log = fs::read(record::log_path(group.name)).unwrap_or_default();
                let log = String::from_utf8_lossy(&log);
                let tests: Vec<&str> = record::failed_tests(&log).into_iter().collect();
                format!("{} {seconds} FAILED: {}", group.name, tests.join(" "))
            }
            Outcome::Skipped => format!("{} SKIPPED", group.name),
        }
    };
    let groups: Vec<String> = results.iter().map(group).collect();
    format!("{} s ({})", total.as_secs(), groups.join(", "))
}

/// Prints what failed, and then the table: the end of a log is what a reader sees first.
fn report(results: &[(&Group, Outcome, Duration)]) -> ExitCode {
    let logs: Vec<Vec<u8>> = results
        .iter()
        .map(|(group, _, _)| fs::read(record::log_path(group.name)).unwrap_or_default())
        .collect();
    for ((group, outcome, _), log) in results.iter().zip(&logs) {
        if *outcome != Outcome::Failed {
            continue;
        }
        println!(
            "\n==== {} FAILED, its whole output is in {}:",
            group.name,
            record::log_path(group.name).display()
        );
        for line in record::quote(&String::from_utf8_lossy(log)) {
            println!("{line}");
        }
    }
    println!();
    for ((group, outcome, time), log) in results.iter().zip(&logs) {
        let word = match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "SKIPPED",
        };
        println!("{:15} {word:8} {:7.1} s", group.name, time.as_secs_f64());
        let log = String::from_utf8_lossy(log);
        if *outcome == Outcome::Failed {
            for name in record::failed_tests(&log) {
                println!("{:15} {name}", "");
            }
        }
        for line in record::untested(&log) {
            println!("{:15} {line}", "");
        }
    }
    println!();
    let count = |wanted| {
        results
            .iter()
            .filter(|(_, outcome, _)| *outcome == wanted)
            .count()
    };
    let failed = count(Outcome::Failed);
    let skipped = match count(Outcome::Skipped) {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    let total: Duration = results.iter().map(|(_, _, time)| *time).sum();
    println!("{:24} {:7.1} s", "in all", total.as_secs_f64());
    println!(
        "groups: {} passed, {failed} failed{skipped}",
        count(Outcome::Passed)
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
