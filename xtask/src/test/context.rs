//! The common state of the groups of one run.

use anyhow::Result;

use super::beside::Beside;
use super::services::Services;
use crate::install;

/// A run of some groups.
pub(super) struct Run {
    /// Whether `--all` was given: slow tests run in full.
    pub(super) all: bool,
    /// The arguments after `--`, for the test programs of the services and of the suite.
    pub(super) arguments: Vec<String>,
    pub(super) services: Services,
    /// The groups in the background.
    pub(super) beside: Beside,
    /// Names of the groups that begin in the background when the group that runs [`Self::waits`].
    pub(super) beside_this: Vec<&'static str>,
}

impl Run {
    /// From here on the group has nothing to compile, and waits more than it computes.
    pub(super) fn waits(&mut self) -> Result<()> {
        let mut groups = std::mem::take(&mut self.beside_this).into_iter();
        groups.try_for_each(|group| self.beside.start(group, &self.arguments))
    }
}

/// Why a group cannot run on this machine. Except in CI, it is then skipped.
#[derive(Debug)]
pub(super) struct CannotRun(pub(super) String);

impl std::fmt::Display for CannotRun {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for CannotRun {}

/// Returns [`CannotRun`] unless this process runs as root.
pub(super) fn need_root() -> Result<()> {
    if install::is_root()? {
        return Ok(());
    }
    Err(CannotRun("it needs root, as the agent does".to_owned()).into())
}
