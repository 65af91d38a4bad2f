//! Cgroups that come and go, and those that are left out.

use std::collections::HashSet;

use aya::maps::{HashMap, Map, MapData};
use bubble_common::kernel::cgroup::{CgroupRecord, IGNORED};
use bubble_common::kernel::record::Kind;

use super::hooks::{Attach, Family, Hook};
use super::load::{LoadError, Loaded};
use super::record;
use crate::sink::Sink;
use crate::source::Host;

/// What tells of them.
pub const HOOKS: &[Hook] = &[
    Hook {
        program: "cgroup_made",
        attach: Attach::Tracepoint("cgroup_mkdir"),
        family: Family::Both,
        gives: "containers that live less than a second",
        needs: "the tracepoint cgroup_mkdir",
        fallback: "containers are found by looking through the tree of cgroups",
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
        fallback: "it is found by looking through the tree of cgroups",
        required: false,
        unless: None,
        instead: None,
    },
];

/// The cgroups that the programs leave out: the host's own, which would only cost.
pub struct Ignored {
    /// None in tests of what uses it.
    map: Option<HashMap<MapData, u64, u32>>,
    known: HashSet<u64>,
}

impl Ignored {
    /// Takes the map.
    ///
    /// # Errors
    /// When the kernel side has none.
    pub fn open(loaded: &mut Loaded) -> Result<Self, LoadError> {
        let map: Option<Map> = loaded.ebpf.take_map("IGNORED");
        let map = map.and_then(|map| HashMap::try_from(map).ok());
        Ok(Self {
            map: Some(map.ok_or_else(|| LoadError::Missing("map IGNORED".into()))?),
            known: HashSet::new(),
        })
    }

    /// Of no kernel.
    #[cfg(test)]
    pub fn nowhere() -> Self {
        Self {
            map: None,
            known: HashSet::new(),
        }
    }

    /// Whether this cgroup is left out.
    #[cfg(test)]
    pub fn contains(&self, cgroup: u64) -> bool {
        self.known.contains(&cgroup)
    }

    /// From now on nothing in this cgroup is counted: within a second in the kernel, at once by us.
    pub fn add(&mut self, cgroup: u64) {
        // A map that is full costs a little time, no number: what comes is left out here.
        if self.known.insert(cgroup)
            && let Some(map) = &mut self.map
            && map.insert(cgroup, IGNORED, 0).is_err()
        {
            self.known.remove(&cgroup);
        }
    }

    fn remove(&mut self, cgroup: u64) {
        if self.known.remove(&cgroup)
            && let Some(map) = &mut self.map
        {
            // It may have been taken out before: gone is gone.
            let _ = map.remove(&cgroup);
        }
    }

    /// Takes in that a cgroup came or went.
    pub fn record<S: Sink>(
        &mut self,
        cgroup: &CgroupRecord,
        path: &[u8],
        host: &mut Host<'_>,
        sink: &mut S,
    ) {
        let at = host.clock.of_boot(cgroup.header.at);
        let path = record::text(path);
        if cgroup.header.kind == Kind::CGROUP_MADE {
            host.containers.created(at, cgroup.cgroup, &path, sink);
        } else {
            host.containers.removed(at, cgroup.cgroup, &path, sink);
            self.remove(cgroup.cgroup);
        }
    }
}
