//! `test`: all tests, in groups, the cheapest first. The plain command runs the groups that a
//! developer needs after a change, and `--all` runs those of CI.
//!
//! After a failed group, the next one still runs. A group that this machine cannot run is reported;
//! in CI it fails. At the end, a report shows the time of each group, its failed tests, and
//! everything that its tests could not test.

mod beside;
mod context;
mod deploy;
mod group;
mod idle;
mod record;
mod services;
mod suite;

use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Result, bail};

use self::beside::Beside;
use self::context::{CannotRun, Run};
use self::group::{GROUPS, Group};
use self::idle::Idle;
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
        beside: Beside::default(),
        beside_this: Vec::new(),
    };
    // Single groups install what they need themselves.
    let tools = flags
        .only
        .is_empty()
        .then(|| tools::start(&record::log_path("tools"), flags.all))
        .transpose()?;
    let mut results: Vec<Row> = Vec::new();
    for group in &chosen {
        if !results.is_empty() {
            say(format!("so far: {}", so_far(&results)));
        }
        let beside_this = chosen.iter().filter(|one| one.beside == Some(group.name));
        run.beside_this = beside_this.map(|one| one.name).collect();
        let (start, idle) = (Instant::now(), Idle::now());
        let outcome = match run.beside.finish(group.name) {
            Some(result) => outcome(group, result, strict),
            None => {
                let record = Record::start(group.name)?;
                say(format!("test group {}: {}", group.name, group.about));
                let outcome = outcome(group, (group.run)(&mut run), strict);
                drop(record);
                outcome
            }
        };
        results.push(Row {
            group,
            outcome,
            time: start.elapsed(),
            idle: idle.percent(),
        });
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
            let beside = match group.beside {
                Some(other) => format!("{:20}begins in the background during {other}\n", ""),
                None => String::new(),
            };
            format!(
                "{:12} {scope:6} {}\n{:20}finds: {}\n{beside}",
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

fn outcome(group: &Group, result: Result<()>, strict: bool) -> Outcome {
    match result {
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

/// What a group came to.
struct Row {
    group: &'static Group,
    outcome: Outcome,
    time: Duration,
    /// Percentage of the processors' time meanwhile that nothing used, if the kernel says.
    idle: Option<u64>,
}

/// The groups that ended, in one line. The last lines of a log that was cut off show what took the time.
fn so_far(results: &[Row]) -> String {
    let total: Duration = results.iter().map(|row| row.time).sum();
    let group = |Row {
                     group,
                     outcome,
                     time,
                     ..
                 }: &Row| {
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
fn report(results: &[Row]) -> ExitCode {
    let logs: Vec<Vec<u8>> = results
        .iter()
        .map(|row| fs::read(record::log_path(row.group.name)).unwrap_or_default())
        .collect();
    for (Row { group, outcome, .. }, log) in results.iter().zip(&logs) {
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
    for (row, log) in results.iter().zip(&logs) {
        let Row { group, outcome, .. } = row;
        let word = match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "SKIPPED",
        };
        let idle = row.idle.map(|idle| format!("  {idle:3} % idle"));
        println!(
            "{:15} {word:8} {:7.1} s{}",
            group.name,
            row.time.as_secs_f64(),
            idle.unwrap_or_default()
        );
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
    let count = |wanted| results.iter().filter(|row| row.outcome == wanted).count();
    let failed = count(Outcome::Failed);
    let skipped = match count(Outcome::Skipped) {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    let total: Duration = results.iter().map(|row| row.time).sum();
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
