//! Tables of every row of a recording, neither capped nor split by seconds.
//!
//! [`Tables`] is a sink that passes everything on to another one, so that posts and tables come
//! from the same reading. The columns of `io.tsv` and `cpu.tsv` are sysdig's fields (`fd.type`,
//! `fd.name`, `proc.vpid`, …), to be compared with other readers.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write as _};
use std::hash::Hash;
use std::net::IpAddr;
use std::path::Path;
use std::{fs, io};

use bubble_common::segment::ContainerId;
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Exit, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::KINDS;

use crate::sink::{ConnectionHandle, ContainerHandle, FileHandle, ProcessHandle, Sink};

/// Collects the tables, and passes everything on.
#[derive(Debug)]
pub struct Tables<S> {
    /// The sink to which everything is passed on.
    pub inner: S,
    containers: Numbered<ContainerId, ContainerHandle>,
    processes: Numbered<(u32, ProcessId, Box<str>), ProcessHandle>,
    /// All facts of each process.
    known: Vec<Process>,
    files: Numbered<(u32, File), FileHandle>,
    connections: Numbered<(u32, Connection), ConnectionHandle>,
    cpu: HashMap<(u32, u32), u64>,
    /// CPU time between a thread's last switch and its end.
    last_cpu: HashMap<(u32, u32), u64>,
    file_io: HashMap<(u32, u32), Moved>,
    network_io: HashMap<(u32, u32), Moved>,
}

/// Keys by our own numbers, which are never reused, and the handles of the inner sink.
#[derive(Debug)]
struct Numbered<K, H> {
    numbers: HashMap<K, u32>,
    keys: Vec<K>,
    handles: Vec<H>,
}

impl<K, H> Default for Numbered<K, H> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            keys: Vec::new(),
            handles: Vec::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, H: Copy> Numbered<K, H> {
    fn number(&mut self, key: K, handle: H) -> u32 {
        if let Some(&number) = self.numbers.get(&key) {
            self.handles[number as usize] = handle;
            return number;
        }
        let number = self.keys.len() as u32;
        self.keys.push(key.clone());
        self.numbers.insert(key, number);
        self.handles.push(handle);
        number
    }

    fn handle(&self, number: u32) -> Option<H> {
        self.handles.get(number as usize).copied()
    }
}

/// Sums by direction: in, out.
#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    bytes: [u64; 2],
    operations: [u64; 2],
}

impl Moved {
    fn add(&mut self, bytes: [u64; 2], operations: [u64; 2]) {
        for side in 0..2 {
            self.bytes[side] = self.bytes[side].saturating_add(bytes[side]);
            self.operations[side] = self.operations[side].saturating_add(operations[side]);
        }
    }
}

impl<T, S: AsMut<T>> AsMut<T> for Tables<S> {
    fn as_mut(&mut self) -> &mut T {
        self.inner.as_mut()
    }
}

impl<S> Tables<S> {
    /// Collects tables, and passes everything on to `inner`.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            containers: Numbered::default(),
            processes: Numbered::default(),
            known: Vec::new(),
            files: Numbered::default(),
            connections: Numbered::default(),
            cpu: HashMap::new(),
            last_cpu: HashMap::new(),
            file_io: HashMap::new(),
            network_io: HashMap::new(),
        }
    }

    /// Writes `io.tsv`, `cpu.tsv`, `last_cpu.tsv` and `processes.tsv` into `folder`, and creates it
    /// if it is missing.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("io.tsv"), self.io())?;
        fs::write(folder.join("cpu.tsv"), self.cpu())?;
        fs::write(folder.join("last_cpu.tsv"), self.last_cpu())?;
        fs::write(folder.join("processes.tsv"), self.processes())
    }

    /// Bytes and operations by container, process, descriptor and direction.
    pub fn io(&self) -> String {
        let mut rows: BTreeMap<_, Moved> = BTreeMap::new();
        let files = self.file_io.iter().map(|((process, file), moved)| {
            let columns = self
                .files
                .keys
                .get(*file as usize)
                .map(|it| file_columns(&it.1));
            (*process, columns.unwrap_or_default(), moved)
        });
        let connections = self
            .network_io
            .iter()
            .map(|((process, connection), moved)| {
                let columns = self.connections.keys.get(*connection as usize);
                let columns = columns.map(|it| connection_columns(&it.1));
                (*process, columns.unwrap_or_default(), moved)
            });
        for (process, columns, moved) in files.chain(connections) {
            let row = rows.entry((self.who(process), columns)).or_default();
            row.add(moved.bytes, moved.operations);
        }
        let mut text = String::from(
            "container\tpid\tvpid\tproc\tfd_type\tfd_name\tdirection\tbytes\toperations\n",
        );
        for ((who, (kind, name)), moved) in rows {
            for (side, direction) in ["in", "out"].into_iter().enumerate() {
                let (bytes, operations) = (moved.bytes[side], moved.operations[side]);
                if operations > 0 {
                    let name = Cell(&name);
                    line(
                        &mut text,
                        format_args!("{who}\t{kind}\t{name}\t{direction}\t{bytes}\t{operations}"),
                    );
                }
            }
        }
        text
    }

    /// CPU time by container, process and core, without that of [`Self::last_cpu`].
    pub fn cpu(&self) -> String {
        self.cpu_rows(&self.cpu)
    }

    /// CPU time between a thread's last switch and its end, likewise. Other readers of captures
    /// leave it out.
    pub fn last_cpu(&self) -> String {
        self.cpu_rows(&self.last_cpu)
    }

    fn cpu_rows(&self, of: &HashMap<(u32, u32), u64>) -> String {
        let mut rows: BTreeMap<_, u64> = BTreeMap::new();
        for ((process, core), ns) in of {
            let row = rows.entry((self.who(*process), *core)).or_default();
            *row = row.saturating_add(*ns);
        }
        let mut text = String::from("container\tpid\tvpid\tproc\tcore\tnanoseconds\n");
        for ((who, core), ns) in rows {
            line(&mut text, format_args!("{who}\t{core}\t{ns}"));
        }
        text
    }

    /// All processes. Times are ns since the Unix epoch; empty if they are not known.
    pub fn processes(&self) -> String {
        let mut rows: Vec<_> = (0u32..).zip(&self.known).collect();
        rows.sort_by_key(|(number, process)| (self.who(*number), process.id));
        let mut text = String::from(
            "container\tpid\tvpid\tproc\tparent\tuid\tgid\texe\targs\tstart\tend\texit\n",
        );
        for (number, process) in rows {
            let who = self.who(number);
            let (exe, args) = (Cell(&process.exe), Cell(&process.args));
            let end = match process.end {
                0 => String::new(),
                end => end.to_string(),
            };
            let exit = match process.exit {
                Some(Exit::Code(code)) => code.to_string(),
                Some(Exit::Signal(signal)) => format!("signal {signal}"),
                None => String::new(),
            };
            let gid = process.gid.map_or(String::new(), |gid| gid.to_string());
            line(
                &mut text,
                format_args!(
                    "{who}\t{}\t{}\t{gid}\t{exe}\t{args}\t{}\t{end}\t{exit}",
                    process.parent, process.uid, process.id.start,
                ),
            );
        }
        text
    }

    fn who(&self, process: u32) -> Who<'_> {
        let process = process as usize;
        let container = self.processes.keys.get(process).map(|key| key.0);
        let container = container.and_then(|number| self.containers.keys.get(number as usize));
        let known = self.known.get(process);
        Who {
            container: container.map_or("", ContainerId::as_str),
            pid: known.map_or(0, |known| known.id.pid),
            vpid: known.map_or(0, |known| known.container_pid),
            name: known.map_or("", |known| &known.name),
        }
    }
}

/// The first four columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Who<'a> {
    container: &'a str,
    pid: u32,
    vpid: u32,
    name: &'a str,
}

impl Display for Who<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Cell(self.name);
        write!(f, "{}\t{}\t{}\t{name}", self.container, self.pid, self.vpid)
    }
}

/// Text with tabs and line ends escaped.
struct Cell<'a>(&'a str);

impl Display for Cell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '\t' => f.write_str("\\t")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\0' => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// Type and name of a file in sysdig's words: without a path there is no name.
fn file_columns(file: &File) -> (String, String) {
    let nameless = |kind: &str| (kind.to_owned(), String::new());
    match (file.kind, &*file.path) {
        (FileKind::Pipe, "pipe") => nameless("pipe"),
        (FileKind::Anonymous, "eventfd") => nameless("event"),
        (FileKind::Anonymous, "io_uring") => nameless("iouring"),
        (FileKind::Anonymous, what) => match what.split_once(':') {
            Some((kind, name)) => (kind.to_owned(), name.to_owned()),
            None => nameless(what),
        },
        (kind, path) => (kind.name().to_owned(), path.to_owned()),
    }
}

/// Type and name of a connection in sysdig's words: the client's end comes first.
fn connection_columns(connection: &Connection) -> (String, String) {
    let kind = match (&connection.local, &connection.peer) {
        (Address::Ip(IpAddr::V4(_), _), _) | (_, Address::Ip(IpAddr::V4(_), _)) => "ipv4",
        (Address::Ip(IpAddr::V6(_), _), _) | (_, Address::Ip(IpAddr::V6(_), _)) => "ipv6",
        _ => match connection.protocol {
            Protocol::UnixStream | Protocol::UnixDatagram => "unix",
            // Without an address the version of IP is not known.
            Protocol::Tcp | Protocol::Udp | Protocol::Raw => "ipv4",
            other => other.name(),
        },
    };
    let (client, server) = match connection.role {
        Role::Server => (&connection.peer, &connection.local),
        Role::Client | Role::Unknown => (&connection.local, &connection.peer),
    };
    let text = |address: &Address| match address {
        Address::Ip(ip, _) if connection.protocol == Protocol::Raw => ip.to_string(),
        Address::Ip(ip, port) => format!("{ip}:{port}"),
        other => other.to_string(),
    };
    let (client, server) = (text(client), text(server));
    let name = match (client.is_empty(), server.is_empty()) {
        (false, false) if kind != "unix" => format!("{client}->{server}"),
        (_, false) => server,
        (_, true) => client,
    };
    (kind.to_owned(), name)
}

impl<S: Sink> Sink for Tables<S> {
    fn container(&mut self, id: &ContainerId) -> ContainerHandle {
        let handle = self.inner.container(id);
        ContainerHandle(self.containers.number(id.clone(), handle))
    }

    fn fact(&mut self, container: ContainerHandle, name: &str, value: &str) {
        if let Some(container) = self.containers.handle(container.0) {
            self.inner.fact(container, name, value);
        }
    }

    fn process(&mut self, container: ContainerHandle, process: &Process) -> ProcessHandle {
        let Some(inner) = self.containers.handle(container.0) else {
            return ProcessHandle(u32::MAX);
        };
        let handle = self.inner.process(inner, process);
        let (id, name) = process.identity();
        let number = self
            .processes
            .number((container.0, id, name.into()), handle);
        match self.known.get_mut(number as usize) {
            Some(known) => known.absorb(process),
            None => self.known.push(process.clone()),
        }
        ProcessHandle(number)
    }

    fn file(&mut self, container: ContainerHandle, file: &File) -> FileHandle {
        let Some(inner) = self.containers.handle(container.0) else {
            return FileHandle(u32::MAX);
        };
        let handle = self.inner.file(inner, file);
        FileHandle(self.files.number((container.0, file.clone()), handle))
    }

    fn connection(
        &mut self,
        container: ContainerHandle,
        connection: &Connection,
    ) -> ConnectionHandle {
        let Some(inner) = self.containers.handle(container.0) else {
            return ConnectionHandle(u32::MAX);
        };
        let handle = self.inner.connection(inner, connection);
        let key = (container.0, connection.clone());
        ConnectionHandle(self.connections.number(key, handle))
    }

    fn cpu(&mut self, at: u64, process: ProcessHandle, core: u32, ns: u64) {
        if let Some(handle) = self.processes.handle(process.0) {
            self.inner.cpu(at, handle, core, ns);
            *self.cpu.entry((process.0, core)).or_default() += ns;
        }
    }

    fn last_cpu(&mut self, at: u64, process: ProcessHandle, core: u32, ns: u64) {
        if let Some(handle) = self.processes.handle(process.0) {
            self.inner.last_cpu(at, handle, core, ns);
            *self.last_cpu.entry((process.0, core)).or_default() += ns;
        }
    }

    fn waits(&mut self, at: u64, process: ProcessHandle, ns: [u64; KINDS]) {
        if let Some(process) = self.processes.handle(process.0) {
            self.inner.waits(at, process, ns);
        }
    }

    fn memory(&mut self, at: u64, process: ProcessHandle, memory: Memory) {
        if let Some(process) = self.processes.handle(process.0) {
            self.inner.memory(at, process, memory);
        }
    }

    fn file_io(&mut self, at: u64, process: ProcessHandle, file: FileHandle, io: FileIo) {
        let handles = (self.processes.handle(process.0), self.files.handle(file.0));
        if let (Some(inner), Some(handle)) = handles {
            self.inner.file_io(at, inner, handle, io);
            let moved = self.file_io.entry((process.0, file.0)).or_default();
            moved.add([io.bytes_in, io.bytes_out], [io.ops_in, io.ops_out]);
        }
    }

    fn network_io(
        &mut self,
        at: u64,
        process: ProcessHandle,
        connection: ConnectionHandle,
        io: NetworkIo,
    ) {
        let handles = (
            self.processes.handle(process.0),
            self.connections.handle(connection.0),
        );
        if let (Some(inner), Some(handle)) = handles {
            self.inner.network_io(at, inner, handle, io);
            let key = (process.0, connection.0);
            let moved = self.network_io.entry(key).or_default();
            moved.add([io.bytes_in, io.bytes_out], [io.ops_in, io.ops_out]);
        }
    }

    fn file_wait(&mut self, at: u64, process: ProcessHandle, file: FileHandle, ns: u64) {
        let handles = (self.processes.handle(process.0), self.files.handle(file.0));
        if let (Some(process), Some(file)) = handles {
            self.inner.file_wait(at, process, file, ns);
        }
    }

    fn connection_wait(
        &mut self,
        at: u64,
        process: ProcessHandle,
        connection: ConnectionHandle,
        ns: u64,
    ) {
        let process = self.processes.handle(process.0);
        let connection = self.connections.handle(connection.0);
        if let (Some(process), Some(connection)) = (process, connection) {
            self.inner.connection_wait(at, process, connection, ns);
        }
    }

    fn total(&mut self, at: u64, container: ContainerHandle, metric: Metric, value: u64) {
        if let Some(container) = self.containers.handle(container.0) {
            self.inner.total(at, container, metric, value);
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
        if let Some(container) = self.containers.handle(container.0) {
            let process = process.and_then(|process| self.processes.handle(process.0));
            self.inner.event(at, container, kind, process, detail);
        }
    }

    fn loss(&mut self, at: u64, container: Option<ContainerHandle>, reason: Reason, loss: Loss) {
        let container = container.and_then(|container| self.containers.handle(container.0));
        self.inner.loss(at, container, reason, loss);
    }

    fn alive(&mut self, at: u64, container: ContainerHandle) {
        if let Some(container) = self.containers.handle(container.0) {
            self.inner.alive(at, container);
        }
    }

    fn release_process(&mut self, process: ProcessHandle) {
        if let Some(process) = self.processes.handle(process.0) {
            self.inner.release_process(process);
        }
    }

    fn release_container(&mut self, container: ContainerHandle) {
        if let Some(container) = self.containers.handle(container.0) {
            self.inner.release_container(container);
        }
    }

    fn begin_section(&mut self, at: u64) {
        self.inner.begin_section(at);
    }

    fn advance(&mut self, now: u64) {
        self.inner.advance(now);
    }
}
