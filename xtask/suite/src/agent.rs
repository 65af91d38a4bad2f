//! A real agent, with a spool of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::server::{Server, tail};
use crate::{keeper, settings};

/// An agent, which is killed when this is dropped.
#[derive(Debug)]
pub struct Agent {
    program: PathBuf,
    folder: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

impl Agent {
    /// Starts one that posts to `server`, and waits until the server has heard of it.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(folder: &Path, server: &Server, more: &[String]) -> Result<Self> {
        let folder = folder.join("agent");
        std::fs::create_dir_all(folder.join("spool"))?;
        let spool = folder.join("spool").to_string_lossy().into_owned();
        let url = server.url();
        let hooks = settings::hooks();
        let args = [
            "--server",
            &url,
            "--api",
            server.key(),
            "--spool",
            &spool,
            "--hooks",
            &hooks,
        ];
        let args = args
            .into_iter()
            .map(str::to_owned)
            .chain(more.iter().cloned())
            .collect();
        let program = settings::program("bubble-agent")?;
        let mut agent = Self {
            program,
            folder,
            args,
            child: None,
        };
        agent.resume()?;
        agent.heard(server)?;
        Ok(agent)
    }

    /// Starts the same agent again, with the same spool.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn resume(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let nowhere: [&Path; 0] = [];
        let mut command = keeper::command(&self.program, &nowhere, &self.args)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.child = Some(keeper::spawn(command)?);
        Ok(())
    }

    /// Waits until the server has heard of it, since now.
    ///
    /// # Errors
    /// When that takes too long, or the agent has ended.
    pub fn heard(&mut self, server: &Server) -> Result<()> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_secs_f64();
        let deadline = Instant::now() + settings::patience(Duration::from_secs(30));
        while !server
            .api()
            .hosts()?
            .iter()
            .any(|host| host.last_seen >= now)
        {
            if let Some(status) = self
                .child
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten()
            {
                bail!(
                    "the agent ended by itself, {status}; it said:\n{}",
                    self.said()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "the server has not heard of the agent, which said:\n{}",
                    self.said()
                );
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Kills it with signal 9.
    ///
    /// # Errors
    /// When it was not running, or had ended by itself before.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the agent is not running")?;
        if let Some(status) = child.try_wait()? {
            bail!(
                "the agent ended by itself, {status}; it said:\n{}",
                self.said()
            );
        }
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// The folder of its spool.
    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The end of what it logged.
    pub fn said(&self) -> String {
        tail(&self.log())
    }
}

/// What the agent says of this host without running: `doctor --json`.
///
/// # Errors
/// When it fails or prints something else.
pub fn doctor() -> Result<serde_json::Value> {
    let output = std::process::Command::new(settings::program("bubble-agent")?)
        .args(["doctor", "--json", "--hooks", &settings::hooks()])
        .output()
        .context("cannot run the agent")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.stdout.is_empty(),
        "bubble-agent doctor said nothing but: {said}"
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
