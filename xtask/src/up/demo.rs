//! The demonstration where no container runs: a small web shop, in a cgroup of its own if one can
//! be created.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cgroup::Cgroup;
use crate::command::say;
use crate::process::Process;
use crate::service::{Service, free_port};

const SCRIPT: &str = include_str!("demo.sh");

/// Memory limit of the shop. Resizing a picture takes more, so the kernel kills it.
const MEMORY_LIMIT: u64 = 96 << 20;
const RESIZE_MIB: u32 = 160;

/// The running shop.
pub(super) struct Demo(Service);

impl Demo {
    pub(super) fn start(workload: &Path, data: &Path, cgroup: Option<&Cgroup>) -> Result<Self> {
        let folder = data.join("demo");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        // The shell moves itself into the cgroup, so its children start there.
        let script = data.join("demo.sh");
        let enter = cgroup.map(Cgroup::script).unwrap_or_default();
        fs::write(&script, format!("{enter}exec >/dev/null\n{SCRIPT}"))
            .with_context(|| format!("cannot write {}", script.display()))?;
        let limited = cgroup.is_some_and(|cgroup| cgroup.limit_memory(MEMORY_LIMIT));
        if !limited {
            say("no memory limit can be set here: the shop runs without the part that exceeds it");
        }
        let resize = if limited { RESIZE_MIB } else { 0 };
        let mut command = Process::command(Path::new("/bin/sh"));
        command
            .arg(&script)
            .arg(fs::canonicalize(workload).context("the workload is gone")?)
            .arg(&folder)
            .args([free_port()?.to_string(), resize.to_string()]);
        Ok(Self(Service::start("bubble-demo", command, data)?))
    }

    pub(super) fn check(&mut self) -> Result<()> {
        self.0.check()
    }
}
