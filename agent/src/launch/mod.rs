//! `bubble-agent run`: one command, counted from its first moment to its last.
//!
//! The command runs in a cgroup of its own, which is the only container. The same loop as on a host
//! counts it in a thread; its segments go to a tally, and to the spool if there is a server. The main
//! thread starts the command, passes signals on and waits. No host lock is taken: the run is another
//! container than those of an agent that counts on the host.

mod cgroup;
mod child;
mod command;
mod counting;
pub mod flags;
mod output;
mod posting;
mod scope;
mod signals;
mod user;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use bubble_common::segment::facts;
use rustix::process::{Resource, getrlimit};

use self::cgroup::RunCgroup;
use self::child::{Start, StartError};
use self::command::Command;
use self::counting::{Counted, Counting};
use self::flags::Flags;
use self::output::{Lines, Output, say};
use self::posting::Posting;
use self::scope::RunScope;
use self::signals::Signals;
use self::user::User;
use crate::clock::Clock;
use crate::config::Config;
use crate::fd_budget;
use crate::source::procfs::tree::Waited;

/// Exit code when the agent fails before the command runs.
pub const FAILED: u8 = child::FAILED;

/// Runs a command and reports it. Returns the exit code.
///
/// # Errors
/// When it cannot be counted or started.
pub fn run(config: &Config, flags: &Flags) -> Result<u8> {
    // Threads inherit the mask, so this comes first.
    let signals = Signals::block().context("cannot read signals")?;
    let files = getrlimit(Resource::Nofile);
    fd_budget::raise_limit();
    let user = User::choose(flags.user.as_deref())?;
    let output = Output::open(flags, user.as_ref())?;
    let mut scope = RunScope::find(flags)?;
    if scope.cgroup.is_none() {
        child::adopt_orphans();
    }
    let posting = Posting::start(config, &scope.found.id)?;
    let waited = Arc::new(Waited::default());
    let counting = Counting::start(config, &mut scope, &waited, posting)?;
    let cgroup = scope.cgroup.as_ref();
    let start = Start {
        command: &flags.command,
        user: user.as_ref(),
        cgroups: cgroup.map(RunCgroup::descriptors).unwrap_or_default(),
        mask: signals.original,
        files,
    };
    let clock = Clock::new();
    if let Some(cores) = affinity() {
        counting.note(facts::AFFINITY, cores);
    }
    counting.note(facts::STARTED, clock.now());
    let pid = match child::start(&start) {
        Ok(pid) => pid,
        Err(error) => {
            counting.finish()?;
            return Ok(not_started(flags, &error));
        }
    };
    let command = Command {
        pid,
        signals: &signals,
        cgroup,
        waited: &waited,
        no_wait: flags.no_wait,
    };
    let mut lines = Lines::new(flags.every);
    let code = command.wait(|| lines.write(&counting));
    counting.note(facts::ENDED, clock.now());
    counting.note(facts::EXIT_CODE, code);
    let counted = counting.finish();
    let missing = std::mem::take(&mut scope.missing);
    // The figures of its cgroup are read.
    drop(scope);
    match counted {
        Ok(counted) => tell(flags, output, counted, missing),
        // The command has run: its exit code counts.
        Err(error) => say(&format!("no report: {error:#}")),
    }
    Ok(code)
}

/// Writes the report, and where the run was posted.
fn tell(flags: &Flags, output: Output, mut counted: Counted, missing: Vec<String>) {
    output.write(flags, &counted.report(flags, missing));
    if let Some(posting) = counted.posting.take() {
        let posted = posting.finish();
        match posted.problem {
            Some(problem) => say(&problem),
            None => say(&format!("posted to {}", posted.url)),
        }
    }
}

/// On how many cores this thread may run, and so the command.
fn affinity() -> Option<u32> {
    let set = rustix::thread::sched_getaffinity(None).ok()?;
    Some(set.count()).filter(|cores| *cores > 0)
}

/// Says why the command does not run, as a shell does. Returns the exit code.
fn not_started(flags: &Flags, error: &StartError) -> u8 {
    let program = flags.command.first().cloned().unwrap_or_default();
    say(&format!("{}: {error}", program.to_string_lossy()));
    error.code()
}
