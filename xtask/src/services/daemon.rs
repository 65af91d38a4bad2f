//! A program that goes on after the command that started it: known again by its pid and the moment
//! at which that began, so that a pid that was given again to another program is left alone.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    command::{say, shown},
    log::Log,
};

/// How long a killed program may take to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long one may take to answer.
const START: Duration = Duration::from_secs(120);

/// A program in a folder of its own, whether it runs or not.
pub(crate) struct Daemon {
    folder: PathBuf,
}

impl Daemon {
    /// That of `folder`.
    pub(crate) fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// What it has to say.
    pub(crate) fn log(&self) -> Log {
        Log::at(self.folder.join("log"))
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    /// Its pid, if it runs.
    pub(crate) fn running(&self) -> Option<u32> {
        let text = fs::read_to_string(self.pid_file()).ok()?;
        let (pid, began) = text.trim().split_once(' ')?;
        let pid: u32 = pid.parse().ok()?;
        (began_at(pid)? == began).then_some(pid)
    }

    /// Starts it, in a session that no terminal ends.
    pub(crate) fn start(&self, command: &mut Command) -> Result<()> {
        say(shown(command));
        self.log().take(command)?;
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start what belongs into {}", self.folder.display()))?;
        let began = began_at(child.id()).context("it ended at once")?;
        let pid = self.pid_file();
        fs::write(&pid, format!("{} {began}\n", child.id()))
            .with_context(|| format!("cannot write {}", pid.display()))
    }

    /// Kills it, if it runs; returns whether it did.
    pub(crate) fn kill(&self) -> Result<bool> {
        let Some(pid) = self.running() else {
            return Ok(false);
        };
        let known = i32::try_from(pid).ok().and_then(Pid::from_raw);
        kill_process(known.context("a process id that is none")?, Signal::KILL)
            .with_context(|| format!("cannot end process {pid}"))?;
        let deadline = Instant::now() + PATIENCE;
        while self.running().is_some() {
            if Instant::now() >= deadline {
                bail!("process {pid} was killed and is still there");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(true)
    }
}

/// Waits until the program `answers`, as long as it runs.
pub(crate) fn wait(daemon: &Daemon, name: &str, answers: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + START;
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

/// A connection that is not waited for any longer than what answers takes.
pub(crate) fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let limit = Duration::from_secs(2);
    let stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    Ok(stream)
}

/// Writes a file of the program's, and makes its folder.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// When the process began, in the kernel's own count (proc(5), field 22 of stat); none when it is
/// gone, or is a zombie that nobody has waited for yet.
fn began_at(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18).map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::{Daemon, began_at};

    #[test]
    fn a_pid_alone_is_no_proof() {
        let folder = std::env::temp_dir().join(format!("bubble-daemon-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let daemon = Daemon::of(&folder);
        assert_eq!(daemon.running(), None);
        let own = std::process::id();
        let began = began_at(own).expect("this process runs");
        std::fs::write(folder.join("pid"), format!("{own} {began}\n")).expect("written");
        assert_eq!(daemon.running(), Some(own));
        std::fs::write(folder.join("pid"), format!("{own} 1\n")).expect("written");
        assert_eq!(daemon.running(), None);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
