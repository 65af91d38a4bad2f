//! Time that the CPU limits of cgroups above a container's own held back all that is in them.
//!
//! The kernel counts it for the cgroup that has the limit, and not for those below it.

use std::io;

use super::limits::throttled;
use crate::container::hierarchy::Hierarchies;

/// The cgroups above one that have a CPU limit.
#[derive(Debug, Default)]
pub(super) struct Above(Vec<Limited>);

#[derive(Debug)]
struct Limited {
    path: String,
    /// The kernel's count as last read, ns.
    throttled: u64,
}

impl Above {
    /// Takes over which cgroups have a limit. What new ones counted so far is not the container's.
    ///
    /// # Errors
    /// When a count cannot be read: that cgroup is left out until the next call.
    pub(super) fn set(&mut self, hierarchies: &Hierarchies, paths: &[String]) -> io::Result<()> {
        self.0.retain(|known| paths.contains(&known.path));
        let mut result = Ok(());
        for path in paths {
            if self.0.iter().any(|known| known.path == *path) {
                continue;
            }
            match throttled(hierarchies, path) {
                Ok(now) => self.0.push(Limited {
                    path: path.clone(),
                    throttled: now.unwrap_or(0),
                }),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// What was counted since the last call, ns. `None` if no cgroup above has a limit.
    ///
    /// # Errors
    /// When a count cannot be read. It is in the next sum.
    pub(super) fn growth(&mut self, hierarchies: &Hierarchies) -> (Option<u64>, io::Result<()>) {
        let mut sum = None;
        let mut result = Ok(());
        for limited in &mut self.0 {
            match throttled(hierarchies, &limited.path) {
                Ok(now) => {
                    let now = now.unwrap_or(limited.throttled);
                    let before = std::mem::replace(&mut limited.throttled, now);
                    let sum = sum.get_or_insert(0_u64);
                    // A smaller value is the count of another cgroup of the same path.
                    *sum = sum.saturating_add(now.checked_sub(before).unwrap_or(now));
                }
                Err(error) => result = Err(error),
            }
        }
        (sum, result)
    }
}
