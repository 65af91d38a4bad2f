//! A program that runs beside us for a while and must not outlive us: it is asked to end when its
//! owner lets go of it, and made to if it does not.

use std::{
    path::Path,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::{find, say, shown};

/// How long a program may take to end when asked to.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running program.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// A command for `start`: the kernel ends the program should we be killed before we can do it.
    pub(crate) fn command(program: &Path) -> Command {
        let Some(setpriv) = find("setpriv") else {
            return Command::new(program);
        };
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program);
        command
    }

    /// Starts it, in a process group of its own: a ctrl-C at the terminal reaches us alone, and we
    /// end what we started in the right order.
    pub(crate) fn start(name: &'static str, mut command: Command) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        say(shown(&command));
        command.process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    fn end(&mut self) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("a process id that is none")?;
        kill_process(pid, Signal::TERM).with_context(|| format!("cannot end {}", self.name))?;
        let deadline = Instant::now() + PATIENCE;
        while self.ended()?.is_none() {
            if Instant::now() >= deadline {
                say(format!("{} does not end: killing it", self.name));
                self.child
                    .kill()
                    .with_context(|| format!("cannot kill {}", self.name))?;
                self.child
                    .wait()
                    .with_context(|| format!("cannot wait for {}", self.name))?;
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            say(format!("{error:#}"));
        }
    }
}
