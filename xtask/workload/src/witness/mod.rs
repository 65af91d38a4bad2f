//! `witness`: runs a program in cgroups, and prints what the kernel itself counted for each of its
//! processes. It uses none of the agent's ways to count.
//!
//! The witness traces the program with `ptrace`, and so all processes that it starts. A traced thread
//! stays a zombie until the witness reaps it, so its `/proc/PID/task/TID/io` can be read after its
//! end. Taskstats, the other source of these figures, rounds them down to 1024 bytes (`xacct_add_tsk()`).
//!
//! These figures lack some bytes that the agent counts, and have some that it does not count. The
//! program's threads therefore stop at both ends of the few calls concerned, see `call`. They run at
//! full speed through all other calls.

mod call;
mod filter;
mod proc;
mod ptrace;
mod tracer;

use std::collections::HashMap;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use bubble_workload::witnessed::Witnessed;
use clap::Args;

use self::tracer::Tracer;
use crate::{start, sys};

/// Cgroups and program.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder of a cgroup to enter; repeat it for several hierarchies
    #[arg(long)]
    cgroup: Vec<PathBuf>,
    /// Kill the program, and fail, if it has not ended after this many seconds
    #[arg(long, default_value_t = 600)]
    limit: u32,
    /// The program and its arguments. Its standard output goes to standard error
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the program, and waits until it and all its descendants have ended.
pub(crate) fn run(options: &Options) -> Result<Witnessed> {
    let words = options
        .command
        .iter()
        .map(|word| CString::new(word.as_bytes()));
    let words: Vec<CString> = words.collect::<Result<_, _>>()?;
    let program = words.first().context("no program given")?;
    let Some(root) = sys::fork().context("cannot fork")? else {
        let error = become_program(options, program, &words);
        eprintln!("bubble-workload: {error:#}");
        sys::exit(127)
    };
    ensure!(
        ptrace::wait_for_stop(root)?,
        "the program ended before it was traced"
    );
    ptrace::seize(root).context("cannot trace the program")?;
    ptrace::kill(root, libc::SIGCONT)?;
    ptrace::die_after(options.limit);
    let mut tracer = Tracer {
        root,
        threads: HashMap::new(),
        processes: HashMap::new(),
        witnessed: Witnessed::default(),
    };
    while let Some(event) = ptrace::wait().context("cannot wait for the traced processes")? {
        tracer.handle(event)?;
    }
    Ok(tracer.witnessed)
}

/// In the child: waits until it is traced, then executes the program. No step reads or writes within
/// the cgroups. Returns only on failure.
fn become_program(options: &Options, program: &CString, words: &[CString]) -> anyhow::Error {
    let prepare = || {
        start::enter(&options.cgroup)?;
        ptrace::stdout_to_stderr()?;
        // The witness continues it.
        sys::kill_self(libc::SIGSTOP)?;
        filter::install().context("cannot install the filter of system calls")
    };
    match prepare() {
        Ok(()) => anyhow::Error::new(sys::exec(program, words))
            .context(format!("cannot execute {}", program.to_string_lossy())),
        Err(error) => error,
    }
}
