//! Bytes and operations, charged to the file or connection that a descriptor stands for.
//!
//! As sysdig counts: the bytes are the call's result, and a call that moved none is no
//! operation.

use std::net::IpAddr;
use std::sync::Arc;

use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};

use super::account::Account;
use super::address::{Interfaces, Tuple, path};
use super::bytes::Bytes;
use super::call::Index;
use super::event::View;
use super::held::Did;
use super::state::State;
use super::state::descriptor::{Asked, Descriptor, What};
use super::state::thread::Owner;
use crate::clock::SECOND;
use crate::sink::{ConnectionHandle, FileHandle, HANDLE_SECONDS, Sink};

/// Most descriptors that are taken from one message; the kernel's own limit is 253.
const PASSED: usize = 253;

/// What was done with a descriptor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    /// Into the process, and out of it.
    pub(super) bytes: [u64; 2],
    pub(super) operations: [u64; 2],
    /// Opened, connected or accepted.
    pub(super) opened: u64,
    /// Could not be connected.
    pub(super) failed: u64,
}

impl Done {
    pub(super) const OPENED: Self = Self {
        bytes: [0; 2],
        operations: [0; 2],
        opened: 1,
        failed: 0,
    };

    pub(super) const FAILED: Self = Self {
        bytes: [0; 2],
        operations: [0; 2],
        opened: 0,
        failed: 1,
    };

    fn moved(bytes: u64, out: bool) -> Self {
        let mut done = Self::default();
        done.bytes[usize::from(out)] = bytes;
        done.operations[usize::from(out)] = 1;
        done
    }

    fn of_file(self) -> FileIo {
        FileIo {
            bytes_in: self.bytes[0],
            bytes_out: self.bytes[1],
            ops_in: self.operations[0],
            ops_out: self.operations[1],
            opens: self.opened,
        }
    }

    pub(super) fn of_connection(self) -> NetworkIo {
        NetworkIo {
            bytes_in: self.bytes[0],
            bytes_out: self.bytes[1],
            ops_in: self.operations[0],
            ops_out: self.operations[1],
            connects: self.opened,
            failures: self.failed,
        }
    }
}

/// Where in the event it stands what a call did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) fd: Index,
    pub(super) tuple: Index,
    pub(super) out: bool,
    pub(super) control: Index,
}

impl Account {
    /// A call read or wrote.
    pub(super) fn io<S: Sink>(
        &mut self,
        thread: u32,
        at: u64,
        view: &View<'_>,
        places: Places,
        sink: &mut S,
    ) {
        let Some(bytes) = view.i64(0).and_then(|result| u64::try_from(result).ok()) else {
            return;
        };
        let fd = view.i64(places.fd);
        if let Some(control) = view.get(places.control) {
            self.receive_descriptors(thread, control);
        }
        if bytes == 0 {
            return;
        }
        let owner = self.owner(thread, at, sink);
        if owner == Owner::Nobody && !self.is_untold(thread) {
            return;
        }
        if let (Some(fd), Some(tuple)) = (fd, view.get(places.tuple)) {
            self.name_by_tuple(thread, fd, tuple, places.out);
        }
        self.charge(thread, owner, at, fd, Done::moved(bytes, places.out), sink);
    }

    /// A call moved bytes from one descriptor to another.
    pub(super) fn transfer<S: Sink>(
        &mut self,
        thread: u32,
        at: u64,
        view: &View<'_>,
        ends: [Index; 2],
        sink: &mut S,
    ) {
        let Some(bytes) = view.i64(0).and_then(|result| u64::try_from(result).ok()) else {
            return;
        };
        let owner = self.owner(thread, at, sink);
        if bytes > 0 {
            for (end, out) in ends.into_iter().zip([false, true]) {
                let done = Done::moved(bytes, out);
                self.charge(thread, owner, at, view.i64(end), done, sink);
            }
        }
    }

    /// Charges what was done with a descriptor (`None`: which is not known).
    #[inline]
    pub(super) fn charge<S: Sink>(
        &mut self,
        thread: u32,
        owner: Owner,
        at: u64,
        fd: Option<i64>,
        done: Done,
        sink: &mut S,
    ) {
        let untold = owner == Owner::Nobody && self.is_untold(thread);
        if owner == Owner::Nobody && !untold {
            return;
        }
        let known = self.state.both(thread);
        let known = known.and_then(|(_, process)| process.descriptors.get(fd?));
        if untold {
            let what = known.map_or_else(|| Arc::new(What::Unknown), |it| Arc::clone(&it.what));
            return self.hold(thread, at, Did::Io(what, done));
        }
        match known {
            Some(Descriptor { what, asked, .. }) => charge(owner, at, what, asked, done, sink),
            None => charge(owner, at, &What::Unknown, &mut Asked::default(), done, sink),
        }
    }

    /// A call told the two ends of a socket, which may not be connected, or of which we did not
    /// see how it was connected.
    fn name_by_tuple(&mut self, thread: u32, fd: i64, tuple: &[u8], out: bool) {
        let Some(tuple) = Tuple::read(tuple) else {
            return;
        };
        let State {
            threads,
            processes,
            interfaces,
            ..
        } = &mut self.state;
        let process = threads.get(thread).map(|thread| thread.process);
        let Some(process) = process.and_then(|process| processes.get_mut(process)) else {
            return;
        };
        let descriptors = &mut process.descriptors;
        if descriptors
            .get(fd)
            .is_none_or(|known| *known.what == What::Unknown)
        {
            let protocol = match tuple {
                Tuple::Ip(..) => Protocol::Other,
                Tuple::Unix(_) => Protocol::UnixStream,
            };
            descriptors.insert(fd, Descriptor::new(What::socket(protocol)));
        }
        let Some(known) = descriptors.get(fd) else {
            return;
        };
        let What::Socket(connection) = &*known.what else {
            return;
        };
        let named = connection.peer != Address::None;
        match tuple {
            Tuple::Unix(name) => {
                if !named && connection.local == Address::None {
                    let name = path(name);
                    if let What::Socket(connection) = known.change() {
                        connection.peer = name;
                    }
                }
            }
            Tuple::Ip(from, to) => {
                if named && connection.protocol == Protocol::Tcp {
                    return;
                }
                let (local, peer) = if out { (from, to) } else { (to, from) };
                let new = ends(connection, interfaces, local, peer, out);
                if new != *connection
                    && let What::Socket(connection) = known.change()
                {
                    *connection = new;
                }
            }
        }
    }

    /// Descriptors came with a message: what they stand for is not told, but not what stood
    /// under their numbers before.
    fn receive_descriptors(&mut self, thread: u32, control: &[u8]) {
        const RIGHTS: u32 = 1;
        let Some((_, process)) = self.state.both(thread) else {
            return;
        };
        let mut rest = Bytes(control);
        while let (Some(length), Some(_level), Some(kind)) = (rest.u64(), rest.u32(), rest.u32()) {
            let Some(length) = usize::try_from(length)
                .ok()
                .and_then(|all| all.checked_sub(16))
            else {
                return;
            };
            let Some(data) = rest.take(length.min(rest.0.len())) else {
                return;
            };
            if kind == RIGHTS {
                for fd in data.chunks_exact(4).take(PASSED) {
                    let fd = i32::from_le_bytes([fd[0], fd[1], fd[2], fd[3]]);
                    process
                        .descriptors
                        .insert(i64::from(fd), Descriptor::new(What::Unknown));
                }
            }
            // The next one is aligned.
            rest.take((length.next_multiple_of(8) - length).min(rest.0.len()));
        }
    }
}

/// Charges what was done with something, for which the sink may have been `asked` already.
pub(super) fn charge<S: Sink>(
    owner: Owner,
    at: u64,
    what: &What,
    asked: &mut Asked,
    done: Done,
    sink: &mut S,
) {
    let Owner::Process {
        place,
        container,
        process,
    } = owner
    else {
        return;
    };
    let second = at / SECOND;
    let good =
        asked.container == place + 1 && second.saturating_sub(asked.second) < HANDLE_SECONDS / 2;
    if !good {
        let handle = match what {
            What::File(file) => sink.file(container, file).0,
            What::Socket(connection) => sink.connection(container, connection).0,
            What::Unknown => sink.file(container, &unknown()).0,
        };
        *asked = Asked {
            container: place + 1,
            handle,
            second,
        };
    }
    let handle = asked.handle;
    match what {
        What::File(_) => sink.file_io(at, process, FileHandle(handle), done.of_file()),
        What::Socket(_) => {
            sink.network_io(at, process, ConnectionHandle(handle), done.of_connection());
        }
        What::Unknown => {
            sink.file_io(at, process, FileHandle(handle), done.of_file());
            let bytes = done.bytes[0].saturating_add(done.bytes[1]);
            let loss = Loss { count: 1, bytes };
            sink.loss(at, Some(container), Reason::PATH_UNKNOWN, loss);
        }
    }
}

/// What descriptors of which nothing is known are charged to.
fn unknown() -> File {
    File {
        path: "(unknown)".to_owned(),
        kind: FileKind::Unknown,
    }
}

/// A connection whose ends a call told.
pub(super) fn ends(
    before: &Connection,
    interfaces: &Interfaces,
    local: (IpAddr, u16),
    peer: (IpAddr, u16),
    out: bool,
) -> Connection {
    let bound = before.local != Address::None;
    let role = match before.role {
        // Who speaks first from a port of no meaning is the client.
        Role::Unknown if out || !bound => Role::Client,
        Role::Unknown => Role::Server,
        known => known,
    };
    Connection {
        protocol: before.protocol,
        role,
        local: Address::Ip(interfaces.source(local.0, peer.0), local.1),
        peer: Address::Ip(peer.0, peer.1),
    }
}
