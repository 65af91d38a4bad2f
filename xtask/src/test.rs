//! `test`: everything that is held to be true of this project, in groups, cheapest first. A group
//! that fails does not keep the next from running. A group that this machine cannot run is said
//! aloud, and is a failure in CI: there nothing may be left out unseen. The end of a run says of
//! each group that failed which of its tests did, and why; and of each what its tests could not test.

mod ahead;
mod deploy;
mod group;
mod record;
mod services;
mod suite;

use std::{
    env, fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use self::{
    ahead::Ahead,
    group::{GROUPS, Group, Load},
    record::Record,
};
use crate::{command::say, flags, install};

/// Why a group cannot run on this machine: it is neither passed nor failed.
#[derive(Debug)]
pub(crate) struct CannotRun(pub(crate) String);

impl std::fmt::Display for CannotRun {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for CannotRun {}

/// That we are root; else a group cannot run.
fn need_root() -> Result<()> {
    if install::is_root()? {
        return Ok(());
    }
    Err(CannotRun("it takes root, as the agent does".to_owned()).into())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

pub(crate) fn run(flags: &flags::Test) -> Result<ExitCode> {
    if flags.list {
        for group in GROUPS {
            println!("{:15} {}", group.name, group.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&flags.only)?;
    let strict = env::var_os("CI").is_some();
    let programs = chosen.iter().any(|group| group.load == Load::Programs);
    let mut ahead = Ahead::default();
    let results: Vec<(&Group, Outcome, Duration)> = chosen
        .into_iter()
        .map(|group| {
            let record = Record::start(group.name)?;
            say(format!("test group {}: {}", group.name, group.about));
            let start = Instant::now();
            match group.load {
                Load::Waits if programs => ahead.start(),
                Load::Programs => ahead.finish(),
                Load::Waits | Load::Busy => {}
            }
            let outcome = outcome(group, &flags.arguments, strict);
            drop(record);
            Ok((group, outcome, start.elapsed()))
        })
        .collect::<Result<_>>()?;
    Ok(report(&results))
}

fn choose(only: &[String]) -> Result<Vec<&'static Group>> {
    let known = |name: &str| GROUPS.iter().any(|group| group.name == name);
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        bail!("no test group {unknown}: `cargo xtask test --list` shows them");
    }
    let wanted = |group: &&Group| only.is_empty() || only.iter().any(|name| name == group.name);
    Ok(GROUPS.iter().filter(wanted).collect())
}

fn outcome(group: &Group, arguments: &[String], strict: bool) -> Outcome {
    match (group.run)(arguments) {
        Ok(()) => Outcome::Passed,
        Err(error) if error.is::<CannotRun>() && !strict => {
            say(format!("test group {} is LEFT OUT: {error:#}", group.name));
            Outcome::Skipped
        }
        Err(error) => {
            say(format!("test group {} failed: {error:#}", group.name));
            Outcome::Failed
        }
    }
}

fn report(results: &[(&Group, Outcome, Duration)]) -> ExitCode {
    println!();
    for (group, outcome, time) in results {
        let word = match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "left out",
        };
        println!("{:15} {word:8} {:7.1} s", group.name, time.as_secs_f64());
        let printed = fs::read(record::log(group.name)).unwrap_or_default();
        for line in record::untested(&String::from_utf8_lossy(&printed)) {
            println!("{:15} {line}", "");
        }
    }
    for (group, _, _) in results
        .iter()
        .filter(|(_, outcome, _)| *outcome == Outcome::Failed)
    {
        let log = record::log(group.name);
        println!(
            "\n==== {} FAILED, all of it in {}:",
            group.name,
            log.display()
        );
        let printed = fs::read(log).unwrap_or_default();
        for line in record::quote(&String::from_utf8_lossy(&printed)) {
            println!("{line}");
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
