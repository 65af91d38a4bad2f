//! Something to look at where no container runs: a small workload in a cgroup of its own.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::Stdio,
};

use anyhow::{Context as _, Result};

use crate::{cgroup::Cgroup, process::Process};

const SCRIPT: &str = include_str!("demo.sh");

/// The workload's cgroup, from the root of each hierarchy.
pub(super) const CGROUP: &str = "/bubble-demo";

/// The running workload. Its cgroup goes after it: fields are dropped in order.
pub(super) struct Demo {
    _process: Process,
    _cgroup: Cgroup,
}

impl Demo {
    pub(super) fn start(workload: &Path, data: &Path) -> Result<Self> {
        let cgroup = Cgroup::create(CGROUP)?;
        let files = data.join("demo");
        fs::create_dir_all(&files).with_context(|| format!("cannot make {}", files.display()))?;
        let log = data.join("demo.log");
        let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Process::command(Path::new("/bin/sh"));
        command
            .arg("-c")
            .arg(format!("{}{SCRIPT}", cgroup.script()))
            .arg("bubble-demo")
            .arg(workload)
            .arg(&files)
            .arg(free_port()?.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Ok(Self {
            _process: Process::start("the workload", command)?,
            _cgroup: cgroup,
        })
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free on 127.0.0.1")?;
    Ok(listener
        .local_addr()
        .context("a socket without an address")?
        .port())
}
