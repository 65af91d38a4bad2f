//! Starts the programs under test so that none outlives the suite, however it ends.
//!
//! The kernel kills such a child when the thread that started it is gone, and the threads of tests
//! come and go; so one thread, which never ends, starts them all.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result};

use crate::settings;

type Order = (Command, Sender<std::io::Result<Child>>);

fn keeper() -> &'static Sender<Order> {
    static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();
    KEEPER.get_or_init(|| {
        let (orders, received) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in received {
                // Whoever asked may have failed meanwhile; then the child is nobody's.
                if let Err(unwanted) = answer.send(command.spawn())
                    && let Ok(mut child) = unwanted.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        orders
    })
}

/// A command that will be `program`, bound to the life of the suite and within `cgroups`.
///
/// # Errors
/// When there is no workload program, which does the binding.
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
/// When it cannot be started.
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
