//! A real agent with its own spool.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
    /// Folder of its pins, if it has any.
    pins: Option<PathBuf>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Agent {
    /// Starts an agent that posts to `server`, and waits for its first report. With `pins`, the kernel
    /// goes on counting if it is killed, until the agent is dropped.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(
        folder: &Path,
        server: &Server,
        pins: Option<PathBuf>,
        extra_args: &[String],
    ) -> Result<Self> {
        let folder = folder.join("agent");
        std::fs::create_dir_all(folder.join("spool"))?;
        let spool = folder.join("spool").to_string_lossy().into_owned();
        let url = server.url();
        let hooks = settings::hooks();
        let pins_arg = pins.as_deref().unwrap_or(Path::new("none"));
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
            "--pins",
            &pins_arg.to_string_lossy(),
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
            pins,
            environment: Vec::new(),
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
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        let cgroups: [&Path; 0] = [];
        let mut command = keeper::command(&self.program, &cgroups, &self.args)?;
        command
            .envs(self.environment.iter().cloned())
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

    /// Stops it with SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// If it does not end well.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the agent is not running")?;
        let sent = Command::new("kill").arg(child.id().to_string()).status()?;
        ensure!(sent.success(), "cannot send a signal to the agent");
        let status = child.wait()?;
        ensure!(
            status.success(),
            "the agent ended badly ({status}); end of its log:\n{}",
            self.log_tail()
        );
        Ok(())
    }

    /// The folder of its spool.
    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Adds an argument of the next start.
    pub fn add_arg(&mut self, arg: &str) {
        self.args.push(arg.to_owned());
    }

    /// Adds an environment variable of the next start.
    pub fn add_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Whether programs are pinned in its folder.
    pub fn is_pinned(&self) -> bool {
        let folder = self.pins.as_deref().map(std::fs::read_dir);
        folder.is_some_and(|names| names.is_ok_and(|mut names| names.next().is_some()))
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Its log.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.log_file())?)
    }

    /// Waits until its log has `text` `count` times.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn wait_for_log(&self, text: &str, count: usize) -> Result<()> {
        let deadline = Instant::now() + settings::timeout(Duration::from_secs(60));
        while self.log()?.matches(text).count() < count {
            ensure!(
                Instant::now() < deadline,
                "the log has no {count} lines with {text:?}; its end:\n{}",
                self.log_tail()
            );
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log_file())
    }
}

/// The output of `bubble-agent doctor --json` on this host.
///
/// # Errors
/// If it fails or prints something else.
pub fn doctor() -> Result<serde_json::Value> {
    let output = Command::new(settings::program("bubble-agent")?)
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
        if let Some(pins) = &self.pins {
            let unpin = Command::new(&self.program)
                .args(["unpin", "--pins"])
                .arg(pins)
                .status();
            if !unpin.is_ok_and(|status| status.success()) {
                eprintln!("{} is left: programs go on counting", pins.display());
            }
        }
    }
}
