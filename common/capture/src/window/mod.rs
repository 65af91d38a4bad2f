//! The window: the sink that makes segments of a source's calls.
//!
//! It holds the open seconds of each container. When the source says that a second is complete, the
//! window closes it: it becomes a segment of one slot. Every minute a segment lists all facts and all
//! live processes; other segments list only new and changed ones.
//!
//! It knows no clock but the times in the calls, so it serves recordings too.

mod close;
mod container;
mod second;
mod segment;
mod sink;
mod wait;

use std::collections::{BTreeSet, HashMap};

use bubble_common::segment::file::File;
use bubble_common::segment::fold::Caps;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::Connection;
use bubble_common::segment::{ContainerId, Segment, SourceId};

use self::container::{Container, Entry, ProcessEntry};
use self::second::Second;
use crate::sink::ContainerHandle;
use crate::slab::Slab;
use crate::time::SECOND;

/// Maximum number of open seconds of one container. Later ones count into the last.
const MAX_OPEN_SECONDS: usize = 128;

/// The sink that makes segments.
#[derive(Debug)]
pub struct Window {
    source: SourceId,
    ids: HashMap<ContainerId, u32>,
    containers: Slab<Container>,
    processes: Slab<ProcessEntry>,
    files: Slab<Entry<File>>,
    connections: Slab<Entry<Connection>>,
    /// Seconds before this one are closed.
    open_from: u64,
    /// The latest second of any call.
    newest: u64,
    /// When unused handles were last removed.
    last_sweep: u64,
    /// Losses that may concern any container: second, reason, amount.
    host_losses: Vec<(u64, Reason, Loss)>,
    /// Seconds that the source observed in part, or whose sums it read too late.
    partial: BTreeSet<u64>,
    /// Emptied seconds for reuse.
    spare: Vec<Second>,
    closed: Vec<Segment>,
    /// Maximum number of rows of a segment.
    caps: Caps,
}

impl Window {
    /// A window that makes segments of `source`, and counts nothing into seconds before `from`
    /// (seconds since the Unix epoch).
    pub fn new(source: SourceId, from: u64) -> Self {
        Self {
            source,
            ids: HashMap::new(),
            containers: Slab::new(),
            processes: Slab::new(),
            files: Slab::new(),
            connections: Slab::new(),
            open_from: from,
            newest: from,
            last_sweep: from,
            host_losses: Vec::new(),
            partial: BTreeSet::new(),
            spare: Vec::new(),
            closed: Vec::new(),
            caps: Caps::SECOND,
        }
    }

    /// Sets the maximum number of rows of a segment.
    pub fn set_caps(&mut self, caps: Caps) {
        self.caps = caps;
    }

    /// The source of the segments.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Takes the segments of the seconds closed since the last call.
    pub fn take_closed(&mut self) -> Vec<Segment> {
        std::mem::take(&mut self.closed)
    }

    /// Whether there are segments to take.
    pub fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// A container that runs.
    pub fn find_container(&self, id: &ContainerId) -> Option<ContainerHandle> {
        let handle = *self.ids.get(id)?;
        let container = self.containers.get(handle)?;
        (!container.released).then_some(ContainerHandle(handle))
    }

    /// Whether a container has a segment of this second, which is open.
    pub fn has_second(&self, second: u64) -> bool {
        let mut containers = self.containers.iter();
        containers.any(|container| container.open.iter().any(|open| open.second == second))
    }

    /// Marks a second in the segments of all containers: it was observed in part, or its sums contain
    /// part of another second.
    pub fn mark_partial(&mut self, second: u64) {
        self.partial.insert(second);
    }

    /// Closes all open seconds, complete or not.
    pub fn close_all(&mut self) {
        self.close_before(u64::MAX);
    }

    /// Continues as another source from the second `from`, which may be earlier. This is for a time of
    /// day that was set back: no key may be used twice.
    pub fn restart(&mut self, source: SourceId, from: u64) {
        self.close_all();
        self.partial.clear();
        self.source = source;
        self.open_from = from;
        self.newest = from;
        self.last_sweep = from;
        let handles: Vec<u32> = self.containers.handles().collect();
        for handle in handles {
            if let Some(container) = self.containers.get_mut(handle) {
                container.facts_changed = true;
            }
        }
    }

    /// The open second of a container that `at` counts into, and whether the right one is closed.
    fn second_at(&mut self, container: u32, at: u64) -> Option<(&mut Second, bool)> {
        let wanted = at / SECOND;
        let second = wanted.max(self.open_from);
        let late = wanted < self.open_from;
        let container = self.containers.get_mut(container)?;
        self.newest = self.newest.max(second);
        let before = container
            .open
            .iter()
            .rposition(|open| open.second <= second);
        let found = before.filter(|&index| container.open[index].second == second);
        let index = match found {
            Some(index) => index,
            None if container.open.len() >= MAX_OPEN_SECONDS => container.open.len() - 1,
            None => {
                let index = before.map_or(0, |before| before + 1);
                let mut new = self.spare.pop().unwrap_or_default();
                new.second = second;
                container.open.insert(index, new);
                index
            }
        };
        let open = &mut container.open[index];
        open.covered = true;
        Some((open, late))
    }

    /// As [`Self::second_at`], for counts: a late one is also noted as a loss of accuracy.
    fn count_at(&mut self, container: u32, at: u64) -> Option<&mut Second> {
        let (second, late) = self.second_at(container, at)?;
        if late {
            second.loss(Reason::LATE, Loss { count: 1, bytes: 0 });
        }
        Some(second)
    }
}

impl AsMut<Self> for Window {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

#[cfg(test)]
mod tests;
