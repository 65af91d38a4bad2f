//! A program that keeps running after the command that started it.
//!
//! It is identified by its pid and its start time, so that another program with a reused pid is
//! never killed.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::{say, shown};
use crate::log::Log;

/// A service that answers.
pub(crate) struct Started {
    pub(crate) name: &'static str,
    /// Its address in the form that its clients take.
    pub(crate) address: String,
    /// Whether this command started it.
    pub(crate) started: bool,
}

/// Time that a killed program may take to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// Time that a service may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A program with a folder of its own, running or not.
pub(crate) struct Daemon {
    folder: PathBuf,
}

impl Daemon {
    /// The program with this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Its log.
    pub(crate) fn log(&self) -> Log {
        Log::new(self.folder.join("log"))
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    /// Its pid, if it runs.
    pub(crate) fn running(&self) -> Option<u32> {
        let text = fs::read_to_string(self.pid_file()).ok()?;
        let (pid, start_time) = text.trim().split_once(' ')?;
        let pid: u32 = pid.parse().ok()?;
        (read_start_time(pid)? == start_time).then_some(pid)
    }

    /// Starts it in a process group of its own, which ctrl-C at the terminal does not reach.
    pub(crate) fn start(&self, command: &mut Command) -> Result<()> {
        say(shown(command));
        self.log().capture(command)?;
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start the program of {}", self.folder.display()))?;
        let start_time = read_start_time(child.id()).context("the program ended at once")?;
        let pid = self.pid_file();
        fs::write(&pid, format!("{} {start_time}\n", child.id()))
            .with_context(|| format!("cannot write {}", pid.display()))
    }

    /// Kills it if it runs. Returns whether it ran.
    pub(crate) fn kill(&self) -> Result<bool> {
        let Some(pid) = self.running() else {
            return Ok(false);
        };
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
        kill_process(id.context("invalid process id")?, Signal::KILL)
            .with_context(|| format!("cannot kill process {pid}"))?;
        let deadline = Instant::now() + KILL_TIMEOUT;
        while self.running().is_some() {
            if Instant::now() >= deadline {
                bail!("process {pid} was killed but still exists");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(true)
    }
}

/// Waits until the program `answers`. An error once it has ended, or after a timeout.
pub(crate) fn wait(daemon: &Daemon, name: &str, answers: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    while !answers() {
        if daemon.running().is_none() {
            bail!("{name} ended; {}", daemon.log().end());
        }
        if Instant::now() >= deadline {
            bail!("{name} does not answer; {}", daemon.log().end());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Connects, with a short timeout for connecting and for reading.
pub(crate) fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let timeout = Duration::from_secs(2);
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    Ok(stream)
}

/// Writes a file, and creates its folder.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The start time of a process in clock ticks since boot: field 22 of stat, see proc(5). `None`:
/// there is no such process, or it is a zombie.
fn read_start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18).map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::{Daemon, read_start_time};

    #[test]
    fn a_reused_pid_is_not_taken_for_the_program() {
        let folder = std::env::temp_dir().join(format!("bubble-daemon-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let daemon = Daemon::new(&folder);
        assert_eq!(daemon.running(), None);
        let own = std::process::id();
        let start_time = read_start_time(own).expect("this process runs");
        std::fs::write(folder.join("pid"), format!("{own} {start_time}\n")).expect("written");
        assert_eq!(daemon.running(), Some(own));
        std::fs::write(folder.join("pid"), format!("{own} 1\n")).expect("written");
        assert_eq!(daemon.running(), None);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
