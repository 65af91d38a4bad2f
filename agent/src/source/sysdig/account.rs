//! From lines to the sink: who did what, with what, for how long.

use std::collections::{HashMap, HashSet};

use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::FileIo;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Address, NetworkIo, Role};
use bubble_common::segment::process::Memory;
use bubble_common::segment::{ContainerId, facts};

use super::call::Call;
use super::core::{Cores, by_second};
use super::descriptor::{Descriptor, Thing};
use super::line::{self, Line, value, value_after_data};
use super::process::{Processes, Socket};
use super::thing::{Handle, Things};
use crate::clock::SECOND;
use crate::sink::{ContainerHandle, ProcessHandle, Sink};
use crate::source::recording::{SLACK, begin};

/// Most containers of a recording; lines of further ones are not taken.
const CONTAINERS: usize = 65_536;
/// Most bytes of a call's beginning that are kept until it ends.
const BEGAN: usize = 8_192;
/// A pause longer than this, in seconds, is a gap: nobody was looking.
const PAUSE: u64 = 60;
/// Seconds between two looks for what may be forgotten.
const SWEEP: u64 = 10;
/// Most addresses at which a container is known to accept connections.
const LISTENS: usize = 1_024;
/// The result of a `connect` that goes on by itself (EINPROGRESS).
const IN_PROGRESS: i64 = -115;
/// Of one that is to be called again, so that nothing went wrong (EAGAIN).
const AGAIN: i64 = -11;

/// One more connection.
const CONNECTED: NetworkIo = NetworkIo {
    bytes_in: 0,
    bytes_out: 0,
    ops_in: 0,
    ops_out: 0,
    connects: 1,
    failures: 0,
};

/// Accounts lines.
#[derive(Debug)]
pub(super) struct Accounts {
    /// The container that stands for the host, if it is shown.
    host: Option<ContainerId>,
    ids: HashMap<Box<[u8]>, usize>,
    containers: Vec<Container>,
    processes: Processes,
    cores: Cores,
    /// The latest time that a line had, and the second of it.
    last: u64,
    second: u64,
    /// Seconds before this one are over.
    open: u64,
    swept: u64,
}

#[derive(Debug)]
struct Container {
    handle: ContainerHandle,
    name: Box<[u8]>,
    things: Things,
    /// Ends of connections that it accepted.
    listens: HashSet<Box<[u8]>>,
}

/// A call that moved bytes, with who made it.
struct Io {
    at: u64,
    container: usize,
    process: ProcessHandle,
    bytes: u64,
}

impl Accounts {
    /// Accounts that show the host as the container `host`, or not.
    pub(super) fn new(host: Option<ContainerId>) -> Self {
        Self {
            host,
            ids: HashMap::new(),
            containers: Vec::new(),
            processes: Processes::default(),
            cores: Cores::default(),
            last: 0,
            second: 0,
            open: 0,
            swept: 0,
        }
    }

    /// Takes in a line.
    pub(super) fn line<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) {
        self.time(line.at, sink);
        let call = Call::of(line.call);
        let container = self.container(line, sink);
        let Some(call) = call else {
            return;
        };
        // Of those outside containers only what they may bring into one is followed.
        match (call, line.enter) {
            (Call::Switch, _) => self.switch(line, container, sink),
            (Call::Fork, false) => match result(line) {
                Some(0) => {
                    self.processes.fork(line, sink);
                    self.meet(line, container, sink);
                }
                Some(1..) => {
                    self.meet(line, container, sink);
                    self.processes.parent(line, sink);
                }
                _ => {}
            },
            (Call::Exec, false) => {
                if result(line) == Some(0) {
                    self.processes.exec(line, sink);
                    self.meet(line, container, sink);
                }
            }
            (Call::Exit, _) => {
                self.last_cpu(line, container, sink);
                self.processes.exit(line, sink);
            }
            (_, true) => {
                if container.is_some() {
                    let began = &mut self.processes.thread(line).began;
                    began.clear();
                    began.extend_from_slice(&line.arguments[..line.arguments.len().min(BEGAN)]);
                }
            }
            (_, false) => {
                if let Some(container) = container {
                    let mut began = std::mem::take(&mut self.processes.thread(line).began);
                    self.ended(call, line, &began, container, sink);
                    began.clear();
                    self.processes.thread(line).began = began;
                }
            }
        }
    }

    /// Notes that time has come to `at`.
    fn time<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let first = self.last == 0;
        if at <= self.last && !first {
            return;
        }
        self.last = at;
        let second = at / SECOND;
        if first {
            self.second = second;
            self.processes.before = begin(at, sink);
        } else if second > self.second {
            self.fill(second, sink);
            self.second = second;
        }
        let open = at.saturating_sub(SLACK) / SECOND;
        if open > self.open {
            self.open = open;
            sink.advance(open * SECOND);
            if open - self.swept >= SWEEP {
                self.swept = open;
                for container in &mut self.containers {
                    container.things.sweep(second);
                }
            }
        }
    }

    /// The seconds up to `until` were observed, in all containers that have processes.
    fn fill<S: Sink>(&self, until: u64, sink: &mut S) {
        let from = self.second + 1;
        if until - from > PAUSE {
            return;
        }
        let present: HashSet<usize> = self.processes.containers().collect();
        for second in from..=until {
            for number in &present {
                sink.alive(second * SECOND, self.containers[*number].handle);
            }
        }
    }

    /// The number of a line's container, if it is one that is shown.
    fn container<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) -> Option<usize> {
        if let Some(number) = self.ids.get(line.container) {
            let container = &mut self.containers[*number];
            if *container.name != *line.container_name {
                container.name = line.container_name.into();
                name(container.handle, line, sink);
            }
            return Some(*number);
        }
        let id = match line.container {
            b"host" => self.host.clone()?,
            id => ContainerId::new(std::str::from_utf8(id).ok()?).ok()?,
        };
        if self.containers.len() >= CONTAINERS {
            return None;
        }
        let handle = sink.container(&id);
        sink.fact(handle, facts::HOOKS, "capture");
        name(handle, line, sink);
        sink.alive(line.at, handle);
        let number = self.containers.len();
        self.containers.push(Container {
            handle,
            name: line.container_name.into(),
            things: Things::default(),
            listens: HashSet::new(),
        });
        self.ids.insert(line.container.into(), number);
        Some(number)
    }

    /// The handle of a line's process.
    fn process<S: Sink>(
        &mut self,
        line: &Line<'_>,
        container: usize,
        sink: &mut S,
    ) -> ProcessHandle {
        let handle = self.containers[container].handle;
        self.processes.handle(line, (container, handle), sink)
    }

    /// Makes a line's process known in its container.
    fn meet<S: Sink>(&mut self, line: &Line<'_>, container: Option<usize>, sink: &mut S) {
        if let Some(container) = container {
            self.process(line, container, sink);
        }
    }

    fn switch<S: Sink>(&mut self, line: &Line<'_>, container: Option<usize>, sink: &mut S) {
        let next = line::number(line.arguments, "next");
        let next = next.and_then(|next| u32::try_from(next).ok()).unwrap_or(0);
        let began = self.cores.switch(line.core, line.at, line.thread, next);
        let Some(container) = container.filter(|_| line.thread != 0) else {
            return;
        };
        let process = self.process(line, container, sink);
        if let Some(began) = began {
            by_second(began, line.at, self.open * SECOND, |at, ns| {
                sink.cpu(at, process, line.core, ns);
            });
        }
        memory(line, process, sink);
    }

    /// A thread ended: as sysdig does not tell whose its core was after that, it is charged now.
    fn last_cpu<S: Sink>(&mut self, line: &Line<'_>, container: Option<usize>, sink: &mut S) {
        let thread = line.thread;
        let began = self.cores.switch(line.core, line.at, thread, thread);
        let Some(container) = container else {
            return;
        };
        let process = self.process(line, container, sink);
        if let Some(began) = began {
            by_second(began, line.at, self.open * SECOND, |at, ns| {
                sink.last_cpu(at, process, line.core, ns);
            });
        }
    }

    /// A call ended that had begun with the arguments `began` (empty when that was not seen).
    fn ended<S: Sink>(
        &mut self,
        call: Call,
        line: &Line<'_>,
        began: &[u8],
        container: usize,
        sink: &mut S,
    ) {
        match call {
            Call::In | Call::Out => {
                if let Some(io) = self.io(line, container, sink) {
                    // Calls that name a peer say so even if there is none: `tuple=NULL`.
                    let names_peer = matches!(line.call, [b's', b'e', ..] | [b'r', b'e', b'c', ..]);
                    let told = || tuple(line.arguments).or_else(|| tuple(began));
                    let tuple = names_peer.then(told).flatten();
                    let fd = descriptor(line, began, "fd");
                    self.moved(&io, line, fd, tuple, call == Call::In, sink);
                }
            }
            Call::Copy { from, to } => {
                if let Some(io) = self.io(line, container, sink) {
                    let fd = descriptor(line, began, from);
                    self.moved(&io, line, fd, None, true, sink);
                    let fd = descriptor(line, began, to);
                    self.moved(&io, line, fd, None, false, sink);
                }
            }
            Call::Open => self.opened(line, container, sink),
            Call::Socket => self.made_socket(line, began, container, sink),
            Call::Connect => self.connected(line, began, container, sink),
            Call::Accept => self.accepted(line, container, sink),
            Call::Close => {
                if let (Some(fd), Some(known)) =
                    (descriptor(line, began, "fd"), self.processes.known(line))
                {
                    known.sockets.remove(&fd.number);
                }
            }
            Call::Memory => {
                let process = self.process(line, container, sink);
                memory(line, process, sink);
            }
            Call::Fork | Call::Exec | Call::Exit | Call::Switch => {}
        }
    }

    /// A call that moved bytes: one that moved none is no operation, as sysdig has it.
    fn io<S: Sink>(&mut self, line: &Line<'_>, container: usize, sink: &mut S) -> Option<Io> {
        let bytes = u64::try_from(result(line)?).ok()?;
        (bytes > 0).then(|| Io {
            at: line.at,
            container,
            process: self.process(line, container, sink),
            bytes,
        })
    }

    /// Bytes went through a descriptor.
    fn moved<S: Sink>(
        &mut self,
        io: &Io,
        line: &Line<'_>,
        fd: Option<Descriptor<'_>>,
        tuple: Option<&[u8]>,
        into: bool,
        sink: &mut S,
    ) {
        let fd = fd.unwrap_or_else(|| {
            let loss = Loss {
                count: 1,
                bytes: io.bytes,
            };
            let container = self.containers[io.container].handle;
            sink.loss(io.at, Some(container), Reason::PATH_UNKNOWN, loss);
            Descriptor {
                number: -1,
                kind: &[],
                name: &[],
            }
        });
        let stream = matches!(fd.kind, [_, b't'] | b"u" | b"n");
        let (fd, role) = match tuple.filter(|_| fd.is_socket() && !stream) {
            // Without a connection each message names its peer, the sender first.
            Some(tuple) => {
                let role = if into { Role::Server } else { Role::Client };
                (Descriptor { name: tuple, ..fd }, role)
            }
            None => (fd, self.role(line, io.container, &fd)),
        };
        let (bytes_in, bytes_out) = if into { (io.bytes, 0) } else { (0, io.bytes) };
        let (ops_in, ops_out) = (u64::from(into), u64::from(!into));
        match self.thing(io.container, &fd, role, sink) {
            Handle::File(file) => {
                let value = FileIo {
                    bytes_in,
                    bytes_out,
                    ops_in,
                    ops_out,
                    opens: 0,
                };
                sink.file_io(io.at, io.process, file, value);
            }
            Handle::Connection(connection) => {
                let value = NetworkIo {
                    bytes_in,
                    bytes_out,
                    ops_in,
                    ops_out,
                    ..NetworkIo::default()
                };
                sink.network_io(io.at, io.process, connection, value);
            }
        }
    }

    fn opened<S: Sink>(&mut self, line: &Line<'_>, container: usize, sink: &mut S) {
        let fd = value(line.arguments, "fd").and_then(Descriptor::parse);
        let Some(fd) = fd.filter(|fd| fd.number >= 0) else {
            return;
        };
        let process = self.process(line, container, sink);
        if let Handle::File(file) = self.thing(container, &fd, Role::Unknown, sink) {
            let value = FileIo {
                opens: 1,
                ..FileIo::default()
            };
            sink.file_io(line.at, process, file, value);
        }
    }

    /// Keeps what only `socket` says: the protocol.
    fn made_socket<S: Sink>(
        &mut self,
        line: &Line<'_>,
        began: &[u8],
        container: usize,
        sink: &mut S,
    ) {
        let fd = value(line.arguments, "fd").and_then(Descriptor::parse);
        let Some(fd) = fd.filter(|fd| fd.number >= 0) else {
            return;
        };
        let kind = line::number(began, "type").or_else(|| line::number(line.arguments, "type"));
        let protocol = match kind.unwrap_or(0) & 0xf {
            1 => b't',
            2 => b'u',
            3 => b'r',
            _ => 0,
        };
        self.process(line, container, sink);
        if let Some(socket) = self
            .processes
            .known(line)
            .and_then(|known| known.socket(fd.number))
        {
            *socket = Socket {
                protocol,
                client: false,
            };
        }
    }

    fn connected<S: Sink>(
        &mut self,
        line: &Line<'_>,
        began: &[u8],
        container: usize,
        sink: &mut S,
    ) {
        let (Some(result), Some(fd)) = (result(line), descriptor(line, began, "fd")) else {
            return;
        };
        if result == AGAIN {
            return;
        }
        let process = self.process(line, container, sink);
        let done = result == 0 || result == IN_PROGRESS;
        let mut protocol = 0;
        if let Some(known) = self.processes.known(line) {
            protocol = known.sockets.get(&fd.number).map_or(0, |of| of.protocol);
            if let Some(socket) = known.socket(fd.number).filter(|_| done) {
                socket.client = true;
            }
        }
        // Before the call a socket is `<4>`: neither its peer nor its protocol are known.
        let family = fd.kind.first().copied().unwrap_or(0);
        let full = [family, protocol];
        let kind = match fd.kind {
            [b'4' | b'6'] if protocol != 0 => &full[..],
            kind => kind,
        };
        let name = tuple(line.arguments).unwrap_or(fd.name);
        let fd = Descriptor {
            number: fd.number,
            kind,
            name,
        };
        if !done {
            self.refused(line, container, process, result, &fd, sink);
            return;
        }
        if let Handle::Connection(connection) = self.thing(container, &fd, Role::Client, sink) {
            sink.network_io(line.at, process, connection, CONNECTED);
        }
    }

    fn refused<S: Sink>(
        &self,
        line: &Line<'_>,
        container: usize,
        process: ProcessHandle,
        result: i64,
        fd: &Descriptor<'_>,
        sink: &mut S,
    ) {
        let Thing::Connection(mut connection) = fd.thing(Role::Client) else {
            return;
        };
        // From which port it was tried says nothing.
        connection.local = Address::None;
        let error = i32::try_from(result.unsigned_abs()).unwrap_or(0);
        let error = std::io::Error::from_raw_os_error(error);
        let detail = format!("{}: {error}", connection.peer);
        let kind = EventKind::CONNECTION_FAILED;
        let handle = self.containers[container].handle;
        sink.event(line.at, handle, kind, Some(process), &detail);
        let connection = sink.connection(handle, &connection);
        let value = NetworkIo {
            failures: 1,
            ..NetworkIo::default()
        };
        sink.network_io(line.at, process, connection, value);
    }

    fn accepted<S: Sink>(&mut self, line: &Line<'_>, container: usize, sink: &mut S) {
        let fd = value(line.arguments, "fd").and_then(Descriptor::parse);
        let Some(fd) = fd.filter(|fd| fd.number >= 0) else {
            return;
        };
        let process = self.process(line, container, sink);
        if let Some(known) = self.processes.known(line) {
            known.sockets.remove(&fd.number);
        }
        let listens = &mut self.containers[container].listens;
        if let Some(server) = fd.server()
            && listens.len() < LISTENS
            && !listens.contains(server)
        {
            listens.insert(server.into());
        }
        if let Handle::Connection(connection) = self.thing(container, &fd, Role::Server, sink) {
            sink.network_io(line.at, process, connection, CONNECTED);
        }
    }

    /// Which side of a connection the container is.
    fn role(&mut self, line: &Line<'_>, container: usize, fd: &Descriptor<'_>) -> Role {
        if !fd.is_socket() {
            return Role::Unknown;
        }
        let known = self.processes.known(line);
        if known.is_some_and(|known| known.sockets.get(&fd.number).is_some_and(|of| of.client)) {
            return Role::Client;
        }
        match fd.server() {
            Some(server) if self.containers[container].listens.contains(server) => Role::Server,
            _ => Role::Unknown,
        }
    }

    fn thing<S: Sink>(
        &mut self,
        container: usize,
        fd: &Descriptor<'_>,
        role: Role,
        sink: &mut S,
    ) -> Handle {
        let container = &mut self.containers[container];
        container
            .things
            .handle(self.second, container.handle, fd, role, sink)
    }
}

/// The result of a call.
fn result(line: &Line<'_>) -> Option<i64> {
    line::number(line.arguments, "res")
}

/// A descriptor. What strangers wrote is trusted last: a call's beginning, where there is one,
/// tells it better than what comes after `data=`.
fn descriptor<'a>(line: &Line<'a>, began: &'a [u8], key: &str) -> Option<Descriptor<'a>> {
    let told = value(line.arguments, key)
        .or_else(|| value(began, key))
        .or_else(|| value_after_data(line.arguments, key));
    told.and_then(Descriptor::parse)
}

/// The two ends that a call itself named.
fn tuple(arguments: &[u8]) -> Option<&[u8]> {
    let tuple = value(arguments, "tuple").or_else(|| value_after_data(arguments, "tuple"));
    let tuple = tuple.map(line::up_to_next);
    tuple.filter(|tuple| !tuple.is_empty() && *tuple != b"NULL")
}

/// The memory that a line tells of: KiB.
fn memory<S: Sink>(line: &Line<'_>, process: ProcessHandle, sink: &mut S) {
    let bytes = |key| {
        let kibibytes = line::number(line.arguments, key)?;
        u64::try_from(kibibytes).ok()?.checked_mul(1_024)
    };
    let (Some(vm), Some(rss)) = (bytes("vm_size"), bytes("vm_rss")) else {
        return;
    };
    if vm > 0 {
        let memory = Memory {
            vm,
            rss,
            swap: bytes("vm_swap").unwrap_or(0),
        };
        sink.memory(line.at, process, memory);
    }
}

fn name<S: Sink>(container: ContainerHandle, line: &Line<'_>, sink: &mut S) {
    if !line.container_name.is_empty() {
        let name = String::from_utf8_lossy(line.container_name);
        sink.fact(container, facts::NAME, &name);
    }
}
