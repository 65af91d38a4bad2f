//! A Docker daemon: the running one, or a new one that ends with this command.
//!
//! A new one keeps its data in target/, uses cgroupfs instead of systemd, and removes its networks.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, bail};

use crate::command::{find, say, succeeds};
use crate::process::Process;
use crate::{install, project};

/// Time that a new daemon may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A daemon that answers. A new one ends when this is dropped.
pub(crate) struct Daemon {
    /// The daemon that this command started, and the folder of its sockets.
    own: Option<(Process, PathBuf)>,
}

impl Daemon {
    /// Installs Docker if it is missing, and starts a daemon if none answers.
    pub(crate) fn ensure() -> Result<Self> {
        install::docker()?;
        if answers() {
            return Ok(Self { own: None });
        }
        if env::var_os("DOCKER_HOST").is_some() {
            bail!("no Docker daemon answers at DOCKER_HOST");
        }
        if !install::is_root()? {
            bail!("no Docker daemon answers, and starting one needs root: run this as root");
        }
        let data = project::target().join("docker");
        let log = project::target().join("docker.log");
        fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
        say(format!(
            "no Docker daemon answers: starting one, with its log in {}",
            log.display()
        ));
        let output =
            fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // The folder of its sockets. The path of a socket must be short.
        let run = env::temp_dir().join(format!("bubble-docker-{}", std::process::id()));
        let program = find("dockerd").context("dockerd is not installed")?;
        let mut command = Process::command(&program);
        command
            .arg("--data-root")
            .arg(&data)
            .arg("--exec-root")
            .arg(&run)
            .arg("--pidfile")
            .arg(run.with_extension("pid"))
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("cannot share the log")?)
            .stderr(output);
        let mut own = Process::start("dockerd", command)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while !answers() {
            if let Some(status) = own.exit_status()? {
                bail!("dockerd ended with {status}: see {}", log.display());
            }
            if Instant::now() >= deadline {
                bail!("dockerd does not answer: see {}", log.display());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(Self {
            own: Some((own, run)),
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some((process, run)) = self.own.take() else {
            return;
        };
        say("stopping the Docker daemon");
        // Its networks would stay on the host, and their rules would change addresses in the
        // networks of the next daemon.
        succeeds(Command::new("docker").args(["network", "prune", "--force"]));
        drop(process);
        if let Err(error) = fs::remove_dir_all(&run) {
            say(format!("cannot remove {}: {error}", run.display()));
        }
    }
}

/// Whether a daemon answers.
pub(crate) fn answers() -> bool {
    succeeds(
        Command::new("docker")
            .arg("info")
            .args(["--format", "{{.ServerVersion}}"]),
    )
}
