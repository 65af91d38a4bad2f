//! `start`: what a container runtime does last. It enters the cgroups and becomes the program, so
//! that not one instruction of the program runs outside of them.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::sys;

/// What to enter, and what to become.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder of a cgroup to enter (several where there are several hierarchies)
    #[arg(long)]
    cgroup: Vec<PathBuf>,
    /// Be killed when the one who started this is gone
    #[arg(long)]
    die_with_parent: bool,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Enters the cgroups. A child does the writing: this process's own write would end within the
/// cgroup, and count as what the program wrote.
fn enter(cgroups: &[PathBuf]) -> Result<()> {
    let own = sys::getpid().to_string();
    let Some(child) = sys::fork().context("cannot fork")? else {
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

/// Does so; returns only if it could not.
pub(crate) fn run(options: &Options) -> Result<i32> {
    if options.die_with_parent {
        sys::die_with_parent().context("cannot bind this process to its parent")?;
    }
    if !options.cgroup.is_empty() {
        enter(&options.cgroup)?;
    }
    let args: Vec<CString> = options
        .command
        .iter()
        .map(|arg| CString::new(arg.as_bytes()))
        .collect::<Result<_, _>>()?;
    let Some(program) = args.first() else {
        bail!("name a program to become")
    };
    let error = sys::exec(program, &args);
    Err(error).with_context(|| format!("cannot execute {program:?}"))
}
