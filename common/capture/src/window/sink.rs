//! The calls of a source: each goes to the open second that it belongs to.

use bubble_common::segment::cell::{Row, Value as _};
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::process::{Cpu, Memory, Process};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::KINDS;
use bubble_common::segment::{ContainerId, SourceId};

use super::Window;
use super::container::{Container, ProcessEntry, get_or_insert};
use super::second::{OpenEvent, absorb, add_wait};
use super::wait::Rests;
use crate::sink::{ConnectionHandle, ContainerHandle, FileHandle, ProcessHandle, Sink};
use crate::slab;
use crate::time::SECOND;

/// Maximum number of events of one container and second. The rest is only counted. Far above the
/// maximum of a segment.
pub(super) const MAX_OPEN_EVENTS: usize = 4_096;

impl Sink for Window {
    fn container(&mut self, id: &ContainerId) -> ContainerHandle {
        if let Some(handle) = self.ids.get(id) {
            // Found again before its last second was closed: it continues.
            if let Some(container) = self.containers.get_mut(*handle) {
                container.released = false;
            }
            return ContainerHandle(*handle);
        }
        let handle = self.containers.insert(Container::new(id.clone()));
        if handle != slab::NOTHING {
            self.ids.insert(id.clone(), handle);
        }
        ContainerHandle(handle)
    }

    fn fact(&mut self, container: ContainerHandle, name: &str, value: &str) {
        let Some(container) = self.containers.get_mut(container.0) else {
            return;
        };
        if value.is_empty() {
            container.facts_changed |= container.facts.remove(name).is_some();
        } else if container.facts.get(name).is_none_or(|known| known != value) {
            container.facts.insert(name.to_owned(), value.to_owned());
            container.facts_changed = true;
        }
    }

    fn process(&mut self, container: ContainerHandle, process: &Process) -> ProcessHandle {
        let Some(owner) = self.containers.get_mut(container.0) else {
            return ProcessHandle(slab::NOTHING);
        };
        let (id, name) = process.identity();
        let key = (id, Box::from(name));
        let mut changed = true;
        let known = owner.processes.get(&key).copied();
        let handle = match known.and_then(|handle| Some((handle, self.processes.get_mut(handle)?)))
        {
            Some((handle, entry)) => {
                let before = entry.process.clone();
                entry.process.update(process);
                changed = entry.process != before;
                handle
            }
            None => {
                let handle = self.processes.insert(ProcessEntry {
                    container: container.0,
                    process: process.clone(),
                    is_changed: false,
                    rests: Rests::default(),
                });
                if handle == slab::NOTHING {
                    return ProcessHandle(handle);
                }
                owner.processes.insert(key, handle);
                handle
            }
        };
        let Some(entry) = self.processes.get_mut(handle).filter(|_| changed) else {
            return ProcessHandle(handle);
        };
        if !entry.is_changed {
            entry.is_changed = true;
            owner.changed.push(handle);
        }
        let open = self.open_from..=self.newest;
        // Start and end open their seconds, so that a segment reports them.
        if id.pid != 0
            && known.is_none()
            && open.contains(&(id.start / SECOND))
            && let Some((second, _)) = self.second_at(container.0, id.start)
        {
            second.started.insert((id.pid, id.start));
        }
        if process.end != 0 && open.contains(&(process.end / SECOND)) {
            self.second_at(container.0, process.end);
        }
        ProcessHandle(handle)
    }

    fn file(&mut self, container: ContainerHandle, file: &File) -> FileHandle {
        let Some(owner) = self.containers.get_mut(container.0) else {
            return FileHandle(slab::NOTHING);
        };
        FileHandle(get_or_insert(
            &mut self.files,
            &mut owner.files,
            container.0,
            file,
            self.newest,
            File::other,
        ))
    }

    fn connection(
        &mut self,
        container: ContainerHandle,
        connection: &Connection,
    ) -> ConnectionHandle {
        let Some(owner) = self.containers.get_mut(container.0) else {
            return ConnectionHandle(slab::NOTHING);
        };
        ConnectionHandle(get_or_insert(
            &mut self.connections,
            &mut owner.connections,
            container.0,
            connection,
            self.newest,
            Connection::other,
        ))
    }

    fn cpu(&mut self, at: u64, process: ProcessHandle, core: u32, ns: u64) {
        let Some(container) = self.processes.get(process.0).map(|entry| entry.container) else {
            return;
        };
        if let Some(second) = self.count_at(container, at) {
            absorb(&mut second.cpu, process.0, core, &Cpu { ns });
        }
    }

    fn waits(&mut self, at: u64, process: ProcessHandle, ns: [u64; KINDS]) {
        let Some(container) = self.processes.get(process.0).map(|entry| entry.container) else {
            return;
        };
        if let Some((second, _)) = self.second_at(container, at) {
            let sums = second.waits.entry(process.0).or_default();
            for (sum, ns) in sums.iter_mut().zip(ns) {
                *sum = sum.saturating_add(ns);
            }
        }
    }

    fn memory(&mut self, at: u64, process: ProcessHandle, memory: Memory) {
        let Some(container) = self.processes.get(process.0).map(|entry| entry.container) else {
            return;
        };
        if let Some((second, _)) = self.second_at(container, at) {
            absorb(&mut second.memory, process.0, 0, &memory);
        }
    }

    fn file_io(&mut self, at: u64, process: ProcessHandle, file: FileHandle, io: FileIo) {
        let Some(container) = self.processes.get(process.0).map(|entry| entry.container) else {
            return;
        };
        let Some(entry) = self.files.get_mut(file.0) else {
            return;
        };
        entry.last_used = self.newest;
        if let Some(second) = self.count_at(container, at) {
            absorb(&mut second.file_io, process.0, file.0, &io);
        }
    }

    fn network_io(
        &mut self,
        at: u64,
        process: ProcessHandle,
        connection: ConnectionHandle,
        io: NetworkIo,
    ) {
        let Some(container) = self.processes.get(process.0).map(|entry| entry.container) else {
            return;
        };
        let Some(entry) = self.connections.get_mut(connection.0) else {
            return;
        };
        entry.last_used = self.newest;
        if let Some(second) = self.count_at(container, at) {
            absorb(&mut second.network_io, process.0, connection.0, &io);
        }
    }

    fn file_wait(&mut self, at: u64, process: ProcessHandle, file: FileHandle, ns: u64) {
        let Some(container) = self.processes.get(process.0).map(|entry| entry.container) else {
            return;
        };
        let Some(entry) = self.files.get_mut(file.0) else {
            return;
        };
        entry.last_used = self.newest;
        if let Some((second, _)) = self.second_at(container, at) {
            add_wait(&mut second.file_waits, process.0, file.0, ns);
        }
    }

    fn connection_wait(
        &mut self,
        at: u64,
        process: ProcessHandle,
        connection: ConnectionHandle,
        ns: u64,
    ) {
        let Some(container) = self.processes.get(process.0).map(|entry| entry.container) else {
            return;
        };
        let Some(entry) = self.connections.get_mut(connection.0) else {
            return;
        };
        entry.last_used = self.newest;
        if let Some((second, _)) = self.second_at(container, at) {
            add_wait(&mut second.connection_waits, process.0, connection.0, ns);
        }
    }

    fn total(&mut self, at: u64, container: ContainerHandle, metric: Metric, value: u64) {
        if let Some((second, _)) = self.second_at(container.0, at) {
            second.total(metric, value);
        }
    }

    fn event(
        &mut self,
        at: u64,
        container: ContainerHandle,
        kind: EventKind,
        process: Option<ProcessHandle>,
        detail: &str,
    ) {
        if let Some((second, _)) = self.second_at(container.0, at) {
            let rare = matches!(kind, EventKind::CONTAINER_START | EventKind::CONTAINER_END);
            if second.events.len() >= MAX_OPEN_EVENTS && !rare {
                second.folded += 1;
                return;
            }
            // A segment's events lie within its span. Late events are moved to the start of the
            // span, and stay in their order.
            let start = second.second.saturating_mul(SECOND);
            let mut moved = at;
            if at < start {
                moved = start + second.late_events;
                second.late_events += 1;
            }
            second.events.push(OpenEvent {
                at: moved.min(start.saturating_add(SECOND - 1)),
                kind,
                process: process.map(|process| process.0),
                detail: detail.to_owned(),
            });
        }
    }

    fn loss(&mut self, at: u64, container: Option<ContainerHandle>, reason: Reason, loss: Loss) {
        match container {
            Some(container) => {
                if let Some((second, _)) = self.second_at(container.0, at) {
                    second.loss(reason, loss);
                }
            }
            // Any container that runs may be affected, so each reports it.
            None => {
                let second = at / SECOND;
                let known = self
                    .host_losses
                    .iter_mut()
                    .find(|known| (known.0, known.1) == (second, reason));
                match known {
                    Some((.., known)) => known.absorb(Row(reason.0, 0), &loss),
                    None => self.host_losses.push((second, reason, loss)),
                }
            }
        }
    }

    fn alive(&mut self, at: u64, container: ContainerHandle) {
        self.second_at(container.0, at);
    }

    fn release_process(&mut self, process: ProcessHandle) {
        let Some(entry) = self.processes.get(process.0) else {
            return;
        };
        let (id, name) = entry.process.identity();
        let key = (id, Box::from(name));
        if let Some(container) = self.containers.get_mut(entry.container) {
            // Only once: then the identity no longer leads to this handle.
            if container.processes.get(&key) == Some(&process.0) {
                container.processes.remove(&key);
                let last = container.open.back().map_or(0, |second| second.second);
                container.ending.push((process.0, last.max(self.open_from)));
            }
        }
    }

    fn release_container(&mut self, container: ContainerHandle) {
        if let Some(container) = self.containers.get_mut(container.0) {
            container.released = true;
        }
    }

    fn begin_section(&mut self, at: u64) {
        let second = at / SECOND;
        if second < self.open_from {
            // No key may be used twice.
            let next = u128::from_be_bytes(self.source.0).wrapping_add(1);
            self.restart(SourceId(next.to_be_bytes()), second);
        }
    }

    fn advance(&mut self, now: u64) {
        self.close_before(now / SECOND);
    }
}
