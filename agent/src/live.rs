//! The source that was chosen: eBPF, or procfs where the kernel refuses it and
//! the user does not insist.

use anyhow::{Context as _, Result, bail};
use std::os::fd::BorrowedFd;

use crate::config::{Choice, Config};
use crate::container::hierarchy::Hierarchy;
use crate::sink::Sink;
use crate::source::ebpf::Ebpf;
use crate::source::procfs::Procfs;
use crate::source::{Host, Source, SourceError};

/// One of the live sources; static dispatch, as sinks are called often.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, for as long as the agent runs"
)]
pub enum Live {
    /// Programs in the kernel.
    Ebpf(Ebpf),
    /// What /proc tells.
    Procfs(Procfs),
}

/// Whether the agent runs as root, without which it can look at nobody else's processes.
pub fn is_root() -> bool {
    // SAFETY: asks who we are; it cannot fail.
    unsafe { libc::geteuid() == 0 }
}

impl Live {
    /// Starts what the configuration asks for.
    ///
    /// # Errors
    /// When it cannot be had, and nothing else may take its place.
    pub fn start(config: &Config, primary: &Hierarchy) -> Result<Self> {
        if !is_root() {
            bail!("the agent needs root: run it with sudo, or in Docker with --privileged");
        }
        if config.source == Choice::Procfs {
            return Ok(Self::Procfs(Procfs::new()));
        }
        match Ebpf::start(&config.ebpf, primary) {
            Ok(source) => Ok(Self::Ebpf(source)),
            Err(error) if config.source == Choice::Auto && config.ebpf.family.is_none() => {
                tracing::warn!(
                    "eBPF cannot be used here, so only what /proc tells is counted; `bubble-agent doctor` says what that costs: {:#}",
                    anyhow::Error::new(error)
                );
                Ok(Self::Procfs(Procfs::new()))
            }
            Err(error) => Err(error).context(
                "eBPF cannot be used here (`bubble-agent doctor` says more; --source procfs does without)",
            ),
        }
    }
}

impl Source for Live {
    fn hooks(&self) -> &str {
        match self {
            Self::Ebpf(source) => source.hooks(),
            Self::Procfs(source) => source.hooks(),
        }
    }

    fn missing(&self) -> &[String] {
        match self {
            Self::Ebpf(source) => source.missing(),
            Self::Procfs(source) => source.missing(),
        }
    }

    fn kernel_ns(&self) -> u64 {
        match self {
            Self::Ebpf(source) => source.kernel_ns(),
            Self::Procfs(source) => source.kernel_ns(),
        }
    }

    fn wake(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Ebpf(source) => source.wake(),
            Self::Procfs(source) => source.wake(),
        }
    }

    fn poll<S: Sink>(&mut self, host: &mut Host<'_>, sink: &mut S) {
        match self {
            Self::Ebpf(source) => source.poll(host, sink),
            Self::Procfs(source) => source.poll(host, sink),
        }
    }

    fn drain<S: Sink>(
        &mut self,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError> {
        match self {
            Self::Ebpf(source) => source.drain(at, host, sink),
            Self::Procfs(source) => source.drain(at, host, sink),
        }
    }
}
