//! `start`: what a container runtime does last. It enters the cgroups and becomes the program, so
//! that not one instruction of the program runs outside of them.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
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

/// Does so; returns only if it could not.
pub(crate) fn run(options: &Options) -> Result<i32> {
    if options.die_with_parent {
        sys::die_with_parent().context("cannot bind this process to its parent")?;
    }
    for cgroup in &options.cgroup {
        std::fs::write(cgroup.join("cgroup.procs"), "0")
            .with_context(|| format!("cannot enter the cgroup {}", cgroup.display()))?;
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
