//! A life of a container: from the creation of its cgroup to its removal.
//!
//! A container that is restarted gets a new cgroup at the same path. The kernel uses paths
//! again, but never the id of a cgroup, so the id identifies the life.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use bubble_capture::container::rule::Found;
use bubble_common::segment::facts;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::total::Metric;

use super::error::is_absent;
use super::hierarchy::Hierarchies;
use super::slurm;
use super::totals::Totals;
use crate::sink::{ContainerHandle, Sink};

/// One life of a container.
#[derive(Debug)]
pub(super) struct Life {
    /// Id of the container's own cgroup. 0: not known, as the cgroup was removed before.
    pub(super) cgroup: u64,
    pub(super) found: Arc<Found>,
    /// When it began, as far as known: ns since the Unix epoch.
    pub(super) began: u64,
    /// It cannot have begun before: equals `began`, unless a scan found the cgroup.
    pub(super) earliest: u64,
    /// It began while the agent ran.
    pub(super) is_new: bool,
    /// The sink has its start event, if it is new.
    pub(super) is_start_reported: bool,
    pub(super) ended: Option<Ended>,
    totals: Totals,
    /// The loss of its last figures was reported: its cgroup was removed before they were read.
    pub(super) is_gone_reported: bool,
    /// Its cgroup could not be read at the last attempt, which is logged once.
    is_unreadable: bool,
    /// How often the number of its Slurm job is still looked for.
    job_attempts: u32,
}

/// How often the number of a Slurm job is looked for, once a second.
const MAX_JOB_ATTEMPTS: u32 = 10;

/// The end of a life.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) at: u64,
    /// When it became known here, which may be long after it, if no agent ran.
    pub(super) noticed: Option<u64>,
    /// The end event is with the sink.
    pub(super) is_reported: bool,
    /// Exit code, from Docker.
    pub(super) code: Option<String>,
}

impl Life {
    /// A life that began at `began`, in any case after `earliest`.
    pub(super) fn new(
        cgroup: u64,
        found: Arc<Found>,
        began: u64,
        earliest: u64,
        is_new: bool,
    ) -> Self {
        Self {
            cgroup,
            found,
            began,
            earliest,
            is_new,
            is_start_reported: false,
            ended: None,
            totals: Totals::new(is_new),
            is_gone_reported: false,
            is_unreadable: false,
            job_attempts: MAX_JOB_ATTEMPTS,
        }
    }

    /// Reads the limits before its processes do anything: what the limits above it held back until now is
    /// not its own.
    pub(super) fn read_limits(&mut self, hierarchies: &Hierarchies) {
        self.totals.read_limits(hierarchies, &self.found.path);
    }

    pub(super) fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Notes the end. The earliest of several reports counts, until the event is with the sink.
    pub(super) fn end(&mut self, at: u64) -> &mut Ended {
        let at = at.max(self.began);
        let ended = self.ended.get_or_insert(Ended {
            at,
            noticed: None,
            is_reported: false,
            code: None,
        });
        if !ended.is_reported {
            ended.at = ended.at.min(at);
        }
        ended
    }

    /// Reports the figures of the cgroup. Returns false when it is gone.
    pub(super) fn read_totals<S: Sink>(
        &mut self,
        hierarchies: &Hierarchies,
        handle: ContainerHandle,
        at: u64,
        sink: &mut S,
    ) -> bool {
        // A later life has the same path. If this cgroup exists before and after, all was its own.
        let mut figures = Vec::new();
        let read = self.figures(hierarchies, &mut figures);
        let failure = self.totals.take_failure();
        let (is_complete, failure) = match read {
            Ok(is_complete) => (is_complete, failure),
            Err(error) => (false, Some(error)),
        };
        let failure = failure.filter(|_| self.is_running());
        if let Some(error) = &failure {
            if !self.is_unreadable {
                tracing::warn!(cgroup = self.found.path, %error, "cannot read the files of a cgroup");
            }
            let loss = Loss { count: 1, bytes: 0 };
            sink.loss(at, Some(handle), Reason::UNREADABLE, loss);
        }
        self.is_unreadable = failure.is_some();
        if !is_complete {
            // What cannot be read may well be there.
            return failure.is_some();
        }
        for (metric, value) in figures {
            sink.total(at, handle, metric, value);
        }
        if self.is_running() {
            sink.alive(at, handle);
        }
        true
    }

    /// Looks for the number of a Slurm job, which the path may lack.
    pub(super) fn find_job<S: Sink>(
        &mut self,
        hierarchies: &Hierarchies,
        handle: ContainerHandle,
        sink: &mut S,
    ) {
        let found = &self.found;
        if found.runtime != "slurm" || found.job.is_some() || self.job_attempts == 0 {
            return;
        }
        // Without descriptors it is looked for later.
        let Ok(job) = slurm::job_number(hierarchies, Path::new("/proc"), &found.path) else {
            return;
        };
        self.job_attempts -= 1;
        let Some(job) = job else {
            return;
        };
        self.job_attempts = 0;
        let name = found.name.as_deref().unwrap_or_default();
        let step = name.rsplit_once('.').map_or("", |(_, step)| step);
        sink.fact(handle, facts::NAME, &format!("slurm-{job}.{step}"));
        sink.fact(handle, facts::SLURM_JOB, &job);
    }

    /// Whether the path leads to the cgroup of this life.
    fn has_cgroup(&self, hierarchies: &Hierarchies) -> io::Result<bool> {
        let id = id_of(hierarchies, &self.found.path)?;
        Ok(id.is_some() && (self.cgroup == 0 || id == Some(self.cgroup)))
    }

    /// Reads the figures. Returns false when the cgroup is gone.
    ///
    /// # Errors
    /// When it may be there, but cannot be looked at.
    fn figures(
        &mut self,
        hierarchies: &Hierarchies,
        figures: &mut Vec<(Metric, u64)>,
    ) -> io::Result<bool> {
        Ok(self.has_cgroup(hierarchies)?
            && self
                .totals
                .read(hierarchies, &self.found.path, |metric, value| {
                    figures.push((metric, value));
                })
            && self.has_cgroup(hierarchies)?)
    }
}

/// Id of the cgroup at `path` now. `None` if no cgroup is there.
///
/// # Errors
/// When it cannot be looked at.
pub(super) fn id_of(hierarchies: &Hierarchies, path: &str) -> io::Result<Option<u64>> {
    let folder = hierarchies.primary().folder(path);
    match fs::metadata(folder) {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::id_of;
    use crate::container::hierarchy::Hierarchies;

    #[test]
    fn a_cgroup_that_cannot_be_looked_at_is_not_gone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "").unwrap();
        fs::create_dir(root.path().join("there")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        let hierarchies = Hierarchies::under(root.path()).unwrap();
        assert!(id_of(&hierarchies, "/there").unwrap().is_some());
        assert_eq!(id_of(&hierarchies, "/gone").unwrap(), None);
        id_of(&hierarchies, "/loop").unwrap_err();
    }
}
