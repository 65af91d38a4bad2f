//! A Docker daemon to talk to: the one that runs, or one of our own, which ends with us and leaves
//! nothing on the host: its data is under target/, its driver for cgroups needs no systemd.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{find, say, succeeds},
    install,
    process::Process,
    project,
};

const START: Duration = Duration::from_secs(60);

/// A daemon that answers for as long as this lives.
pub(crate) struct Daemon {
    /// Ours, and the folder of its sockets.
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
            bail!("no Docker daemon answers, and to start one takes root: run this as root");
        }
        let data = project::target().join("docker");
        let log = project::target().join("docker.log");
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        say(format!(
            "no Docker daemon answers: starting one of our own, log in {}",
            log.display()
        ));
        let output =
            fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // Its sockets live there: a path of theirs must be short.
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
        let deadline = Instant::now() + START;
        while !answers() {
            if let Some(status) = own.ended()? {
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
        say("stopping our Docker daemon");
        // What they have on the host would stay there, and their rules change the addresses on the
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
