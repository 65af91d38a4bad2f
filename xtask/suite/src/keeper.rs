//! Starts the programs under test so that none outlives the suite, however it ends.
//!
//! The kernel kills such a child when its parent thread ends. The threads of tests end early, so one
//! thread that never ends starts all programs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result};

use crate::settings;

type Request = (Command, Sender<std::io::Result<Child>>);

fn keeper() -> &'static Sender<Request> {
    static KEEPER: OnceLock<Sender<Request>> = OnceLock::new();
    KEEPER.get_or_init(|| {
        let (requests, received) = channel::<Request>();
        thread::spawn(move || {
            for (mut command, answer) in received {
                // The test may have failed meanwhile. Then nothing else would end the child.
                if let Err(unsent) = answer.send(command.spawn())
                    && let Ok(mut child) = unsent.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        requests
    })
}

/// A command that runs `program` within `cgroups`, and never longer than the suite.
///
/// # Errors
/// If the workload program, which starts `program`, does not exist.
pub fn command(
    program: &Path,
    cgroups: &[impl AsRef<Path>],
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Command> {
    let mut command = Command::new(settings::program("bubble-workload")?);
    command.args(["start", "--die-with-parent"]);
    for cgroup in cgroups {
        command.arg("--cgroup").arg(cgroup.as_ref());
    }
    command.arg("--").arg(program).args(args);
    Ok(command)
}

/// Starts a command that [`command`] made.
///
/// # Errors
/// If it cannot be started.
pub fn spawn(command: Command) -> Result<Child> {
    let (answer, received) = channel();
    let what = format!("{command:?}");
    let gone = "the thread that starts programs is gone";
    keeper().send((command, answer)).ok().context(gone)?;
    received
        .recv()
        .context(gone)?
        .with_context(|| format!("cannot start {what}"))
}
