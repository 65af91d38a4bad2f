//! Something to look at where no container runs: a small workload in a cgroup of its own.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    cgroup::Cgroup,
    process::Process,
    service::{Service, free_port},
};

const SCRIPT: &str = include_str!("demo.sh");

/// The workload's cgroup, from the root of each hierarchy.
pub(super) const CGROUP: &str = "/bubble-demo";

/// The running workload. Its cgroup goes after it: fields are dropped in order.
pub(super) struct Demo {
    service: Service,
    _cgroup: Cgroup,
}

impl Demo {
    pub(super) fn start(workload: &Path, data: &Path) -> Result<Self> {
        let cgroup = Cgroup::create(CGROUP)?;
        let files = data.join("demo");
        fs::create_dir_all(&files).with_context(|| format!("cannot make {}", files.display()))?;
        // The shell moves itself, and so all that it starts.
        let script = data.join("demo.sh");
        fs::write(
            &script,
            format!("{}exec >/dev/null\n{SCRIPT}", cgroup.script()),
        )
        .with_context(|| format!("cannot write {}", script.display()))?;
        let mut command = Process::command(Path::new("/bin/sh"));
        command
            .arg(&script)
            .arg(workload)
            .arg(&files)
            .arg(free_port()?.to_string());
        Ok(Self {
            service: Service::start("bubble-demo", command, data)?,
            _cgroup: cgroup,
        })
    }

    pub(super) fn check(&mut self) -> Result<()> {
        self.service.check()
    }
}
