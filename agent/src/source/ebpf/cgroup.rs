//! Cgroups that are created and removed, and those that are not counted.

use std::collections::HashSet;
use std::io;

use aya::maps::{HashMap, Map, MapData, MapError};
use bubble_common::kernel::cgroup::{CgroupRecord, IGNORED, PATH_MAX};
use bubble_common::kernel::record::Kind;

use super::hook::{Attach, Family, Hook};
use super::load::{LoadError, Loaded};
use super::record;
use crate::sink::Sink;
use crate::source::Host;

/// Hooks that report them.
pub const HOOKS: &[Hook] = &[
    Hook {
        program: "cgroup_made",
        attach: Attach::Tracepoint("cgroup_mkdir"),
        family: Family::Both,
        gives: "containers that live less than a second",
        needs: "the tracepoint cgroup_mkdir",
        fallback: "scans of the cgroup tree find containers",
        required: false,
        unless: None,
        instead: None,
    },
    Hook {
        program: "cgroup_removed",
        attach: Attach::Tracepoint("cgroup_rmdir"),
        family: Family::Both,
        gives: "the end of a container, to the millisecond",
        needs: "the tracepoint cgroup_rmdir",
        fallback: "scans of the cgroup tree find it",
        required: false,
        unless: None,
        instead: None,
    },
];

/// Cgroups that the programs ignore: the host's own. Counting them would only cost time.
pub struct Ignored {
    /// `None` in tests.
    map: Option<HashMap<MapData, u64, u32>>,
    known: HashSet<u64>,
}

impl Ignored {
    /// Opens the map.
    ///
    /// # Errors
    /// When the kernel side lacks it.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let map: Option<Map> = loaded.take_map("IGNORED");
        let map = map.and_then(|map| HashMap::<_, u64, u32>::try_from(map).ok());
        let mut map = map.ok_or_else(|| LoadError::Missing("map IGNORED".into()))?;
        // An earlier run may have had other rules. What stays ignored is not counted.
        let failed = |error| LoadError::System {
            what: "read the cgroups that an earlier run ignored",
            error: io::Error::other(error),
        };
        let before: Result<Vec<u64>, MapError> = map.keys().collect();
        for cgroup in before.map_err(failed)? {
            map.remove(&cgroup).map_err(failed)?;
        }
        Ok(Self {
            map: Some(map),
            known: HashSet::new(),
        })
    }

    /// Without a map.
    #[cfg(test)]
    pub fn without_map() -> Self {
        Self {
            map: None,
            known: HashSet::new(),
        }
    }

    /// Whether this cgroup is ignored.
    #[cfg(test)]
    pub fn contains(&self, cgroup: u64) -> bool {
        self.known.contains(&cgroup)
    }

    /// Ignores this cgroup: at once in the agent, within a second in the kernel.
    pub fn add(&mut self, cgroup: u64) {
        // With a full map the kernel goes on counting, and the agent drops the sums.
        if self.known.insert(cgroup)
            && let Some(map) = &mut self.map
            && map.insert(cgroup, IGNORED, 0).is_err()
        {
            self.known.remove(&cgroup);
        }
    }

    /// Forgets a cgroup that no longer exists.
    pub fn remove(&mut self, cgroup: u64) {
        if self.known.remove(&cgroup)
            && let Some(map) = &mut self.map
        {
            // A missing entry is no error.
            let _ = map.remove(&cgroup);
        }
    }
}

/// Takes in that a cgroup was created or removed.
pub fn record<S: Sink>(cgroup: &CgroupRecord, path: &[u8], host: &mut Host<'_>, sink: &mut S) {
    let at = host.clock.of_boot(cgroup.header.at);
    // A path without its end would name another cgroup.
    let is_whole = !path.is_empty() && path.len() < PATH_MAX - 1;
    let path = is_whole.then(|| record::text(path));
    if cgroup.header.kind == Kind::CGROUP_MADE {
        let containers = &mut host.containers;
        containers.created(at, cgroup.cgroup, path.as_deref(), sink);
    } else {
        // The sums of its last processes follow, so it stays ignored for a while.
        let containers = &mut host.containers;
        containers.removed(at, cgroup.cgroup, path.as_deref(), sink);
    }
}
