//! Closing seconds: from what was noted to segments.

use std::collections::HashMap;

use bubble_common::segment::builder::Builder;
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::fold::Caps;
use bubble_common::segment::total::Metric;
use bubble_common::segment::{Coverage, Key, Resolution, Segment};

use super::second::{Second, unpair};
use super::{AGAIN, Container, Entry, HANDLE_SECONDS, SECOND, Slab, Window};

/// How often handles are looked through for those that have ended by age, seconds.
const SWEEP: u64 = 10;
/// Emptied seconds that are kept for use again.
const SPARE: usize = 256;

impl Window {
    /// Closes all seconds before `until` (seconds since the Unix epoch).
    pub(super) fn close_before(&mut self, until: u64) {
        if until <= self.open_from {
            return;
        }
        let all = until == u64::MAX;
        let last = if all { self.newest } else { until - 1 };
        let handles: Vec<u32> = self.containers.handles().collect();
        let mut closed_one = false;
        for handle in handles {
            closed_one |= self.close_container(handle, until, last);
        }
        if closed_one {
            self.of_all.retain(|(second, ..)| *second > last);
        }
        // While no container runs there is nobody to tell it to, and it is forgotten at last.
        self.of_all
            .retain(|(second, ..)| second.saturating_add(AGAIN) > last);
        self.open_from = if all { self.newest + 1 } else { until };
        self.newest = self.newest.max(self.open_from);
        if self.open_from.saturating_sub(self.swept) >= SWEEP {
            self.swept = self.open_from;
            self.sweep();
        }
    }

    /// Closes a container's seconds before `until`, and removes it if it was released.
    fn close_container(&mut self, handle: u32, until: u64, last: u64) -> bool {
        let mut closed_one = false;
        loop {
            let Some(container) = self.containers.get_mut(handle) else {
                return closed_one;
            };
            let over = container
                .open
                .front()
                .is_some_and(|second| second.second < until);
            let second = if over {
                container.open.pop_front()
            } else if !closed_one && container.unsaid() && last >= self.open_from {
                // Nothing was seen of it in this second, but there is something to tell.
                let mut second = self.spare.pop().unwrap_or_default();
                second.second = last;
                Some(second)
            } else {
                None
            };
            let Some(mut second) = second else {
                break;
            };
            closed_one = true;
            let segment = self.segment(handle, &second);
            self.closed.extend(segment);
            second.clear();
            if self.spare.len() < SPARE {
                self.spare.push(second);
            }
        }
        self.let_go(handle, until);
        closed_one
    }

    /// The segment of a second of a container.
    fn segment(&mut self, handle: u32, second: &Second) -> Option<Segment> {
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
        }
        let in_full = second.second.is_multiple_of(AGAIN);
        if container.news || in_full {
            container.news = false;
            builder.facts(&container.facts);
        }
        let end = (second.second + 1).saturating_mul(SECOND);
        let mut said: Vec<u32> = Vec::new();
        if in_full {
            said.extend(container.processes.values());
        }
        for process in std::mem::take(&mut container.announced) {
            let Some(entry) = self.processes.get_mut(process) else {
                continue;
            };
            if entry.process.id.start < end {
                said.push(process);
            }
            // What begins or ends later is said again in that second.
            entry.announced = entry.process.id.start >= end || entry.process.end >= end;
            if entry.announced {
                container.announced.push(process);
            }
        }
        let mut rows: HashMap<u32, u32> = HashMap::new();
        let mut row = |builder: &mut Builder, handle: u32| -> Option<u32> {
            if let Some(row) = rows.get(&handle) {
                return Some(*row);
            }
            let row = builder.process(self.processes.get(handle)?.process.clone());
            rows.insert(handle, row);
            Some(row)
        };
        for process in said {
            row(&mut builder, process);
        }
        for (key, value) in &second.cpu {
            let (process, core) = unpair(*key);
            if let Some(process) = row(&mut builder, process) {
                builder.cpu(process, core, 0, *value);
            }
        }
        for (key, value) in &second.memory {
            if let Some(process) = row(&mut builder, unpair(*key).0) {
                builder.memory(process, 0, *value);
            }
        }
        let mut places: HashMap<u32, u32> = HashMap::new();
        for (key, value) in &second.file_io {
            let (process, file) = unpair(*key);
            let (Some(process), Some(entry)) = (row(&mut builder, process), self.files.get(file))
            else {
                continue;
            };
            let file = *places
                .entry(file)
                .or_insert_with(|| builder.file(entry.thing.clone()));
            builder.file_io(process, file, 0, *value);
        }
        places.clear();
        for (key, value) in &second.network_io {
            let (process, connection) = unpair(*key);
            let (Some(process), Some(entry)) =
                (row(&mut builder, process), self.connections.get(connection))
            else {
                continue;
            };
            let connection = *places
                .entry(connection)
                .or_insert_with(|| builder.connection(entry.thing.clone()));
            builder.network_io(process, connection, 0, *value);
        }
        for (metric, total) in &second.totals {
            builder.total(*metric, 0, total.value);
        }
        if !second.started.is_empty() {
            builder.total(Metric::PROCESSES_STARTED, 0, second.started.len() as u64);
        }
        let of_all = self.of_all.iter().filter(|(at, ..)| *at <= second.second);
        let of_all = of_all.map(|(_, reason, loss)| (*reason, *loss));
        for (reason, loss) in second.losses.iter().copied().chain(of_all) {
            builder.loss(reason, 0, loss);
        }
        for event in &second.events {
            let process = event.process.and_then(|process| row(&mut builder, process));
            builder.event(Event {
                at: event.at,
                kind: event.kind,
                process,
                detail: event.detail.clone(),
            });
        }
        if second.folded > 0 {
            builder.event(Event {
                at: end - 1,
                kind: EventKind::FOLDED,
                process: None,
                detail: second.folded.to_string(),
            });
        }
        Some(builder.build().fold(&Caps::SECOND))
    }

    /// Frees the handles that nothing open names any more.
    fn let_go(&mut self, handle: u32, until: u64) {
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

    /// Frees the handles of files and connections that were not used for long.
    fn sweep(&mut self) {
        fn old<T>(slab: &mut Slab<Entry<T>>, before: u64) -> Vec<(u32, Entry<T>)> {
            let old: Vec<u32> = slab
                .handles()
                .filter(|handle| slab.get(*handle).is_some_and(|entry| entry.used < before))
                .collect();
            old.into_iter()
                .filter_map(|handle| Some((handle, slab.remove(handle)?)))
                .collect()
        }
        let before = self.open_from.saturating_sub(HANDLE_SECONDS);
        for (_, entry) in old(&mut self.files, before) {
            if let Some(container) = self.containers.get_mut(entry.container) {
                container.files.remove(&entry.thing);
            }
        }
        for (_, entry) in old(&mut self.connections, before) {
            if let Some(container) = self.containers.get_mut(entry.container) {
                container.connections.remove(&entry.thing);
            }
        }
    }
}

impl Container {
    /// Whether there is something that no segment has said.
    fn unsaid(&self) -> bool {
        self.news && !self.facts.is_empty()
    }
}
