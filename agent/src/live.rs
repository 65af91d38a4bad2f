//! The live source: eBPF, or procfs where the kernel refuses eBPF and the user does not insist on it.

use std::os::fd::BorrowedFd;

use anyhow::{Context as _, Result, bail};

use crate::config::Config;
use crate::config::settings::SourceKind;
use crate::container::hierarchy::Hierarchy;
use crate::journal::Journal;
use crate::sink::Sink;
use crate::source::ebpf::Ebpf;
use crate::source::ebpf::load::LoadError;
use crate::source::procfs::Procfs;
use crate::source::{Host, Source, SourceError};

/// One of the live sources. An enum, as the methods have a generic sink, which is called often.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one value, for as long as the agent runs"
)]
pub enum Live {
    /// Programs in the kernel.
    Ebpf(Ebpf),
    /// What /proc tells.
    Procfs(Procfs),
}

/// Whether the agent runs as root. Others cannot read the processes of other users.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Fails unless the agent runs as root.
///
/// # Errors
/// When it does not.
pub fn require_root() -> Result<()> {
    if !is_root() {
        bail!(
            "the agent needs root: run it with sudo, or in Docker with --privileged; \
             --source procfs counts what /proc shows without"
        );
    }
    Ok(())
}

impl Live {
    /// Starts the configured source.
    ///
    /// # Errors
    /// When it cannot be used, and no other source may replace it.
    pub fn start(config: &Config, primary: &Hierarchy) -> Result<Self> {
        if config.source == SourceKind::Procfs {
            let mut source = Procfs::new();
            if !is_root() {
                source.add_missing(
                    "bytes read and written by processes of other users: the agent does not run as root",
                );
            }
            return Ok(Self::Procfs(source));
        }
        require_root()?;
        match Ebpf::start(&config.ebpf, primary) {
            Ok(source) => Ok(Self::Ebpf(source)),
            // Counted from /proc as well, time would count twice when a later run takes the programs over.
            Err(error @ LoadError::Adopt { .. }) => Err(error.into()),
            Err(error) if config.source == SourceKind::Auto && config.ebpf.family.is_none() => {
                tracing::warn!(
                    "eBPF cannot be used here, so only what /proc tells is counted; `bubble-agent doctor` says what is missing then: {:#}",
                    anyhow::Error::new(error)
                );
                Ok(Self::Procfs(Procfs::new()))
            }
            Err(error) => Err(error).context(
                "eBPF cannot be used here (`bubble-agent doctor` says why; --source procfs does not need it)",
            ),
        }
    }
}

impl Live {
    /// Ends the source. With `keep`, the kernel goes on counting if it can.
    ///
    /// # Errors
    /// When the programs cannot be removed from the kernel.
    pub fn end(self, keep: bool) -> Result<()> {
        match self {
            Self::Ebpf(source) => source
                .end(keep)
                .context("the kernel goes on counting: `bubble-agent unpin` ends that"),
            Self::Procfs(_) => Ok(()),
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

    fn journal(&mut self) -> Option<&mut Journal> {
        match self {
            Self::Ebpf(source) => source.journal(),
            Self::Procfs(source) => source.journal(),
        }
    }

    fn drain_again<S: Sink>(
        &mut self,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError> {
        match self {
            Self::Ebpf(source) => source.drain_again(at, host, sink),
            Self::Procfs(source) => source.drain_again(at, host, sink),
        }
    }
}
