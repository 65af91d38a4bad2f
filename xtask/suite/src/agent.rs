//! A real agent with its own spool.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::server::{Server, tail};
use crate::{keeper, settings};

/// An agent. Killed on drop.
#[derive(Debug)]
pub struct Agent {
    program: PathBuf,
    folder: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

impl Agent {
    /// Starts an agent that posts to `server`, and waits for its first report.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(folder: &Path, server: &Server, extra_args: &[String]) -> Result<Self> {
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
            // Tests have servers and agents of their own.
            "--beside-others",
        ];
        let args = args
            .into_iter()
            .map(str::to_owned)
            .chain(extra_args.iter().cloned())
            .collect();
        let program = settings::program("bubble-agent")?;
        let mut agent = Self {
            program,
            folder,
            args,
            child: None,
        };
        agent.resume()?;
        agent.wait_for_report(server)?;
        Ok(agent)
    }

    /// Starts the same agent again, with the same spool.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn resume(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let cgroups: [&Path; 0] = [];
        let mut command = keeper::command(&self.program, &cgroups, &self.args)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.child = Some(keeper::spawn(command)?);
        Ok(())
    }

    /// Waits until the server has received another report of the agent.
    ///
    /// # Errors
    /// If that takes too long, or the agent has ended.
    pub fn wait_for_report(&mut self, server: &Server) -> Result<()> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_secs_f64();
        let deadline = Instant::now() + settings::timeout(Duration::from_secs(30));
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
                    "the agent ended unexpectedly ({status}); end of its log:\n{}",
                    self.log_tail()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "the server received no report of the agent; end of the agent's log:\n{}",
                    self.log_tail()
                );
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Kills it with signal 9.
    ///
    /// # Errors
    /// If it is not running or has ended unexpectedly.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the agent is not running")?;
        if let Some(status) = child.try_wait()? {
            bail!(
                "the agent ended unexpectedly ({status}); end of its log:\n{}",
                self.log_tail()
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

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log())
    }
}

/// The output of `bubble-agent doctor --json` on this host.
///
/// # Errors
/// If it fails or prints something else.
pub fn doctor() -> Result<serde_json::Value> {
    let output = std::process::Command::new(settings::program("bubble-agent")?)
        .args(["doctor", "--json", "--hooks", &settings::hooks()])
        .output()
        .context("cannot run the agent")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.stdout.is_empty(),
        "bubble-agent doctor printed nothing; stderr: {stderr}"
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
