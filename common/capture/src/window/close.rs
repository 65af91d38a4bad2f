//! Closes seconds, and removes what no open second refers to.

use std::collections::HashMap;

use bubble_common::segment::builder::Builder;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::{Coverage, Key, Resolution, Segment};

use super::Window;
use super::container::Entry;
use super::second::Second;
use super::segment::SegmentMaker;
use crate::sink::HANDLE_SECONDS;
use crate::slab::Slab;
use crate::time::SECOND;

/// Seconds between two segments that repeat all facts and processes. Packed segments begin with one.
const FULL_INTERVAL: u64 = 60;
/// Seconds between two removals of unused handles.
const SWEEP_INTERVAL: u64 = 10;
/// Maximum number of emptied seconds that are reused.
const MAX_SPARE: usize = 256;

impl Window {
    /// Closes all seconds before `until` (seconds since the Unix epoch).
    pub(super) fn close_before(&mut self, until: u64) {
        if until <= self.open_from {
            return;
        }
        let all = until == u64::MAX;
        let last = if all { self.newest } else { until - 1 };
        let handles: Vec<u32> = self.containers.handles().collect();
        let mut closed_any = false;
        for handle in handles {
            closed_any |= self.close_container(handle, until, last);
        }
        if closed_any {
            self.host_losses.retain(|(second, ..)| *second > last);
        }
        // While no container runs, no segment can report them. They expire.
        self.host_losses
            .retain(|(second, ..)| second.saturating_add(FULL_INTERVAL) > last);
        self.open_from = if all { self.newest + 1 } else { until };
        self.newest = self.newest.max(self.open_from);
        self.partial = self.partial.split_off(&self.open_from);
        if self.open_from.saturating_sub(self.last_sweep) >= SWEEP_INTERVAL {
            self.last_sweep = self.open_from;
            self.sweep();
        }
    }

    /// Closes a container's seconds before `until`, and removes it if it was released. `last` is the
    /// newest second that is closed. Returns whether there was any.
    fn close_container(&mut self, handle: u32, until: u64, last: u64) -> bool {
        let mut previous = None;
        loop {
            let Some(container) = self.containers.get_mut(handle) else {
                return previous.is_some();
            };
            let over = container
                .open
                .front()
                .is_some_and(|second| second.second < until);
            let second = if over {
                container.open.pop_front()
            } else if previous.is_none()
                && container.has_unreported_facts()
                && last >= self.open_from
            {
                // The container did nothing in this second, but its facts changed.
                let mut second = self.spare.pop().unwrap_or_default();
                second.second = last;
                Some(second)
            } else {
                None
            };
            let Some(mut second) = second else {
                break;
            };
            let segment = self.segment(handle, &second, previous);
            previous = Some(second.second);
            self.closed.extend(segment);
            second.clear();
            if self.spare.len() < MAX_SPARE {
                self.spare.push(second);
            }
        }
        self.remove_ended(handle, until);
        previous.is_some()
    }

    /// The segment of a second of a container. The segment of the second `previous` has the host's losses
    /// up to then.
    fn segment(&mut self, handle: u32, second: &Second, previous: Option<u64>) -> Option<Segment> {
        let container = self.containers.get_mut(handle)?;
        let key = Key {
            container: container.id.clone(),
            resolution: Resolution::Second,
            start: second.second,
            source: self.source,
        };
        let mut builder = Builder::new(key, 1);
        if second.covered {
            builder.cover(0, Coverage::SECOND);
            if self.partial.contains(&second.second) {
                builder.loss(Reason::PARTIAL, 0, Loss { count: 1, bytes: 0 });
            }
        }
        let full = second.second.is_multiple_of(FULL_INTERVAL);
        if container.facts_changed || full {
            container.facts_changed = false;
            builder.facts(&container.facts);
        }
        let end = (second.second + 1).saturating_mul(SECOND);
        let reported = container.take_reported(&mut self.processes, full, end);
        let mut maker = SegmentMaker {
            builder,
            processes: &mut self.processes,
            files: &self.files,
            connections: &self.connections,
            rows: HashMap::new(),
        };
        maker.add_processes(reported);
        maker.add_cells(second);
        let host_losses = self.host_losses.iter();
        let host_losses = host_losses.filter(|(at, ..)| {
            *at <= second.second && previous.is_none_or(|previous| *at > previous)
        });
        maker.add_totals(
            second,
            host_losses.map(|(_, reason, loss)| (*reason, *loss)),
        );
        maker.add_events(second);
        Some(maker.finish(&self.caps))
    }

    /// Removes released processes, and the container if it was released, once no open second refers
    /// to them.
    fn remove_ended(&mut self, handle: u32, until: u64) {
        let Some(container) = self.containers.get_mut(handle) else {
            return;
        };
        let processes = &mut self.processes;
        container.ending.retain(|(process, last)| {
            let over = *last < until;
            if over {
                processes.remove(*process);
            }
            !over
        });
        if !container.released || !container.open.is_empty() {
            return;
        }
        let Some(container) = self.containers.remove(handle) else {
            return;
        };
        self.ids.remove(&container.id);
        for process in container.processes.into_values() {
            self.processes.remove(process);
        }
        for (process, _) in container.ending {
            self.processes.remove(process);
        }
        for file in container.files.into_values() {
            self.files.remove(file);
        }
        for connection in container.connections.into_values() {
            self.connections.remove(connection);
        }
    }

    /// Removes the files and connections that were not used for [`HANDLE_SECONDS`].
    fn sweep(&mut self) {
        fn take_unused<T>(slab: &mut Slab<Entry<T>>, before: u64) -> Vec<(u32, Entry<T>)> {
            let unused: Vec<u32> = slab
                .handles()
                .filter(|handle| {
                    slab.get(*handle)
                        .is_some_and(|entry| entry.last_used < before)
                })
                .collect();
            unused
                .into_iter()
                .filter_map(|handle| Some((handle, slab.remove(handle)?)))
                .collect()
        }
        let before = self.open_from.saturating_sub(HANDLE_SECONDS);
        for (_, entry) in take_unused(&mut self.files, before) {
            if let Some(container) = self.containers.get_mut(entry.container) {
                container.files.remove(&entry.key);
            }
        }
        for (_, entry) in take_unused(&mut self.connections, before) {
            if let Some(container) = self.containers.get_mut(entry.container) {
                container.connections.remove(&entry.key);
            }
        }
    }
}
