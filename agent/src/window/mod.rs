//! The window: the sink that makes segments of a source's calls.
//!
//! It holds the seconds that are still open, one for each container and second,
//! and closes them when the source says that nothing more will come: each becomes
//! a segment of one slot. What a segment says in full every minute (facts, all
//! live processes) it says otherwise only when it is new or changed.
//!
//! It knows no clock but the times in the calls, and so serves recorded captures too.

mod close;
mod second;

use std::collections::{HashMap, VecDeque};

use bubble_common::segment::cell::{Row, Value};
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::process::{Cpu, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Facts, Segment, SourceId};

use crate::clock::SECOND;
use crate::sink::{
    ConnectionHandle, ContainerHandle, FileHandle, HANDLE_SECONDS, ProcessHandle, Sink,
};
use crate::slab::{self, Slab};
use second::{OpenEvent, Second, absorb};

/// Most files (and most connections) of one container that are told apart at one time; what
/// comes beyond goes into the row of the others at once. Far above what a segment keeps.
const OF_CONTAINER: usize = 8_192;
/// The same over all containers.
const OF_HOST: usize = 65_536;
/// Most events of one container and second that are kept one by one; far above what a segment keeps.
const EVENTS: usize = 4_096;
/// Most seconds of one container that are open at one time; later ones count into the last.
const OPEN: usize = 128;
/// Seconds after which all that is known is said again; packed segments begin with it.
const AGAIN: u64 = 60;

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
    /// The latest second that anything was said of.
    newest: u64,
    /// When the handles of files and connections were last looked through.
    swept: u64,
    /// Losses that may be any container's: second, reason, how much.
    of_all: Vec<(u64, Reason, Loss)>,
    spare: Vec<Second>,
    closed: Vec<Segment>,
}

#[derive(Debug)]
struct Container {
    id: ContainerId,
    facts: Facts,
    /// There are facts that no segment has said.
    news: bool,
    /// Open seconds in order.
    open: VecDeque<Second>,
    processes: HashMap<(ProcessId, Box<str>), u32>,
    files: HashMap<File, u32>,
    connections: HashMap<Connection, u32>,
    /// Processes that are new or changed, to be said in the next segment.
    announced: Vec<u32>,
    /// Released processes, and the last open second in which they may be named.
    ending: Vec<(u32, u64)>,
    released: bool,
}

#[derive(Debug)]
struct ProcessEntry {
    container: u32,
    process: Process,
    announced: bool,
}

#[derive(Debug)]
struct Entry<T> {
    container: u32,
    thing: T,
    /// The second in which it was last asked for or used.
    used: u64,
}

impl Window {
    /// A window whose segments are of `source` and which takes nothing of the
    /// seconds before `from` (seconds since the Unix epoch).
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
            swept: from,
            of_all: Vec::new(),
            spare: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// The source of the segments.
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// The segments that were closed since the last call.
    pub fn take_closed(&mut self) -> Vec<Segment> {
        std::mem::take(&mut self.closed)
    }

    /// Whether there are segments to take.
    pub fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Closes all open seconds, whether or not they are over.
    pub fn close_all(&mut self) {
        self.close_before(u64::MAX);
    }

    /// Goes on as another source from the second `from`, which may be earlier:
    /// the time of day was set back, and no key may be used twice.
    pub fn restart(&mut self, source: SourceId, from: u64) {
        self.close_all();
        self.source = source;
        self.open_from = from;
        self.newest = from;
        self.swept = from;
        let handles: Vec<u32> = self.containers.handles().collect();
        for handle in handles {
            if let Some(container) = self.containers.get_mut(handle) {
                container.news = true;
            }
        }
    }

    /// The open second of a container that holds `at`, and whether it is a later one than it should.
    fn second(&mut self, container: u32, at: u64) -> Option<(&mut Second, bool)> {
        let wanted = at / SECOND;
        let second = wanted.max(self.open_from);
        let late = wanted < self.open_from;
        let container = self.containers.get_mut(container)?;
        self.newest = self.newest.max(second);
        let place = container
            .open
            .iter()
            .rposition(|open| open.second <= second);
        let found = place.filter(|&place| container.open[place].second == second);
        let index = match found {
            Some(index) => index,
            None if container.open.len() >= OPEN => container.open.len() - 1,
            None => {
                let index = place.map_or(0, |place| place + 1);
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

    /// The open second that something counted belongs to; that it came late is noted.
    fn counted(&mut self, container: u32, at: u64) -> Option<&mut Second> {
        let (second, late) = self.second(container, at)?;
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

/// The handle of `thing`, new or not; of `other` when there are too many.
fn handle_of<T: Clone + Eq + std::hash::Hash>(
    slab: &mut Slab<Entry<T>>,
    known: &mut HashMap<T, u32>,
    container: u32,
    thing: &T,
    now: u64,
    other: fn() -> T,
) -> u32 {
    if let Some(handle) = known.get(thing) {
        if let Some(entry) = slab.get_mut(*handle) {
            entry.used = now;
        }
        return *handle;
    }
    let mut thing = thing.clone();
    if known.len() >= OF_CONTAINER || slab.len() >= OF_HOST {
        thing = other();
        if let Some(handle) = known.get(&thing) {
            return *handle;
        }
    }
    let handle = slab.insert(Entry {
        container,
        thing: thing.clone(),
        used: now,
    });
    known.insert(thing, handle);
    handle
}

impl Sink for Window {
    fn container(&mut self, id: &ContainerId) -> ContainerHandle {
        if let Some(handle) = self.ids.get(id) {
            // Met again before its last second was closed: it goes on.
            if let Some(container) = self.containers.get_mut(*handle) {
                container.released = false;
            }
            return ContainerHandle(*handle);
        }
        let handle = self.containers.insert(Container {
            id: id.clone(),
            facts: Facts::new(),
            news: true,
            open: VecDeque::new(),
            processes: HashMap::new(),
            files: HashMap::new(),
            connections: HashMap::new(),
            announced: Vec::new(),
            ending: Vec::new(),
            released: false,
        });
        if handle != slab::NOTHING {
            self.ids.insert(id.clone(), handle);
        }
        ContainerHandle(handle)
    }

    fn fact(&mut self, container: ContainerHandle, name: &str, value: &str) {
        let Some(container) = self.containers.get_mut(container.0) else {
            return;
        };
        if container.facts.get(name).is_none_or(|known| known != value) {
            container.facts.insert(name.to_owned(), value.to_owned());
            container.news = true;
        }
    }

    fn process(&mut self, container: ContainerHandle, process: &Process) -> ProcessHandle {
        let Some(owner) = self.containers.get_mut(container.0) else {
            return ProcessHandle(slab::NOTHING);
        };
        let (id, name) = process.identity();
        let key = (id, Box::from(name));
        let mut news = true;
        let known = owner.processes.get(&key).copied();
        let handle = match known.and_then(|handle| Some((handle, self.processes.get_mut(handle)?)))
        {
            Some((handle, entry)) => {
                let before = entry.process.clone();
                entry.process.absorb(process);
                news = entry.process != before;
                handle
            }
            None => {
                let handle = self.processes.insert(ProcessEntry {
                    container: container.0,
                    process: process.clone(),
                    announced: false,
                });
                if handle == slab::NOTHING {
                    return ProcessHandle(handle);
                }
                owner.processes.insert(key, handle);
                handle
            }
        };
        let Some(entry) = self.processes.get_mut(handle).filter(|_| news) else {
            return ProcessHandle(handle);
        };
        if !entry.announced {
            entry.announced = true;
            owner.announced.push(handle);
        }
        let open = self.open_from..=self.newest;
        // Its beginning and its end make the second known in which they were.
        if id.pid != 0
            && known.is_none()
            && open.contains(&(id.start / SECOND))
            && let Some((second, _)) = self.second(container.0, id.start)
        {
            second.started.insert((id.pid, id.start));
        }
        if process.end != 0 && open.contains(&(process.end / SECOND)) {
            self.second(container.0, process.end);
        }
        ProcessHandle(handle)
    }

    fn file(&mut self, container: ContainerHandle, file: &File) -> FileHandle {
        let Some(owner) = self.containers.get_mut(container.0) else {
            return FileHandle(slab::NOTHING);
        };
        FileHandle(handle_of(
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
        ConnectionHandle(handle_of(
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
        if let Some(second) = self.counted(container, at) {
            absorb(&mut second.cpu, process.0, core, &Cpu { ns });
        }
    }

    fn memory(&mut self, at: u64, process: ProcessHandle, memory: Memory) {
        let Some(container) = self.processes.get(process.0).map(|entry| entry.container) else {
            return;
        };
        if let Some((second, _)) = self.second(container, at) {
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
        entry.used = self.newest;
        if let Some(second) = self.counted(container, at) {
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
        entry.used = self.newest;
        if let Some(second) = self.counted(container, at) {
            absorb(&mut second.network_io, process.0, connection.0, &io);
        }
    }

    fn total(&mut self, at: u64, container: ContainerHandle, metric: Metric, value: u64) {
        if let Some((second, _)) = self.second(container.0, at) {
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
        if let Some((second, _)) = self.second(container.0, at) {
            let rare = matches!(kind, EventKind::CONTAINER_START | EventKind::CONTAINER_END);
            if second.events.len() >= EVENTS && !rare {
                second.folded += 1;
                return;
            }
            // A segment's events are within its span: one that comes late is put at its beginning.
            let begin = second.second.saturating_mul(SECOND);
            second.events.push(OpenEvent {
                at: at.clamp(begin, begin.saturating_add(SECOND - 1)),
                kind,
                process: process.map(|process| process.0),
                detail: detail.to_owned(),
            });
        }
    }

    fn loss(&mut self, at: u64, container: Option<ContainerHandle>, reason: Reason, loss: Loss) {
        match container {
            Some(container) => {
                if let Some((second, _)) = self.second(container.0, at) {
                    second.loss(reason, loss);
                }
            }
            // Any of those that ran then may have lost it, and each of them says so.
            None => {
                let second = at / SECOND;
                let known = self
                    .of_all
                    .iter_mut()
                    .find(|of| (of.0, of.1) == (second, reason));
                match known {
                    Some((.., known)) => known.absorb(Row(reason.0, 0), &loss),
                    None => self.of_all.push((second, reason, loss)),
                }
            }
        }
    }

    fn alive(&mut self, at: u64, container: ContainerHandle) {
        self.second(container.0, at);
    }

    fn release_process(&mut self, process: ProcessHandle) {
        let Some(entry) = self.processes.get(process.0) else {
            return;
        };
        let (id, name) = entry.process.identity();
        let key = (id, Box::from(name));
        if let Some(container) = self.containers.get_mut(entry.container) {
            // Only once: from here on its handle is not found by its identity any more.
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

    fn advance(&mut self, now: u64) {
        self.close_before(now / SECOND);
    }
}

#[cfg(test)]
mod tests;
