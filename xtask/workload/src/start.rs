//! `start`: the last step of a container runtime. It enters the cgroups and executes the program, so
//! that no instruction of the program runs outside of them.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::sys;

/// Cgroups and program.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder of a cgroup to enter; repeat it for several hierarchies
    #[arg(long)]
    cgroup: Vec<PathBuf>,
    /// Die when the parent thread ends
    #[arg(long)]
    die_with_parent: bool,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Enters the cgroups. A child writes to `cgroup.procs`: a write of this process would end within the
/// cgroup, and count as a write of the program. The child waits until this process sleeps, as runtimes do:
/// the time of a process that runs while it is moved belongs to either cgroup.
pub(crate) fn enter(cgroups: &[PathBuf]) -> Result<()> {
    if cgroups.is_empty() {
        return Ok(());
    }
    let own = sys::getpid().to_string();
    let Some(child) = sys::fork().context("cannot fork")? else {
        while !is_asleep(&own) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let failed = cgroups.iter().find_map(|cgroup| {
            let file = cgroup.join("cgroup.procs");
            let error = std::fs::write(&file, &own).err()?;
            eprintln!("cannot write {}: {error}", file.display());
            Some(1)
        });
        sys::exit(failed.unwrap_or(0));
    };
    let ended = sys::wait(child).context("cannot wait for the child")?;
    ensure!(ended.exit_code == Some(0), "cannot enter the cgroups");
    Ok(())
}

/// Whether a process sleeps: the state in its `stat` (proc_pid_stat(5)).
fn is_asleep(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    // One that is gone will not sleep any more.
    !matches!(state, Some(Some('R')))
}

/// Enters the cgroups and executes the program. Returns only on failure.
pub(crate) fn run(options: &Options) -> Result<i32> {
    if options.die_with_parent {
        sys::die_with_parent().context("cannot set the parent-death signal")?;
    }
    enter(&options.cgroup)?;
    let args: Vec<CString> = options
        .command
        .iter()
        .map(|arg| CString::new(arg.as_bytes()))
        .collect::<Result<_, _>>()?;
    let Some(program) = args.first() else {
        bail!("no program given")
    };
    let error = sys::exec(program, &args);
    Err(error).with_context(|| format!("cannot execute {program:?}"))
}
