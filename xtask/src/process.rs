//! A child process that does not outlive this one. Dropping it sends SIGTERM, and after a timeout
//! SIGKILL.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::command::{find, say, shown};

/// Time that a program may take to end after SIGTERM.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(15);

/// A running program.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    /// Signals go to its whole group.
    is_group: bool,
}

impl Process {
    /// A command for `start`. With setpriv, the kernel ends the program even if this process is
    /// killed.
    pub(crate) fn command(program: &Path) -> Command {
        let Some(setpriv) = find("setpriv") else {
            return Command::new(program);
        };
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program);
        command
    }

    /// Starts it in a process group of its own. Ctrl-C at the terminal then reaches only this
    /// process, which ends its children in the right order.
    pub(crate) fn start(name: &'static str, mut command: Command) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        say(shown(&command));
        command.process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            child,
            is_group: false,
        })
    }

    /// Like [`Self::start`], for a program that starts others and does not end them itself.
    pub(crate) fn start_group(name: &'static str, command: Command) -> Result<Self> {
        let mut process = Self::start(name, command)?;
        process.is_group = true;
        Ok(process)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its exit status. `None`: it still runs.
    pub(crate) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.child
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    fn terminate(&mut self) -> Result<()> {
        if self.exit_status()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("invalid process id")?;
        let sent = match self.is_group {
            true => kill_process_group(pid, Signal::TERM),
            false => kill_process(pid, Signal::TERM),
        };
        sent.with_context(|| format!("cannot terminate {}", self.name))?;
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        while self.exit_status()?.is_none() {
            if Instant::now() >= deadline {
                say(format!("{} does not end on SIGTERM: killing it", self.name));
                self.child
                    .kill()
                    .with_context(|| format!("cannot kill {}", self.name))?;
                self.wait()?;
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.terminate() {
            say(format!("{error:#}"));
        }
    }
}
