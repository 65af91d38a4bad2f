//! Sockets made, bound, connected and accepted.

use bubble_common::segment::event::EventKind;
use bubble_common::segment::network::{Address, Connection, Protocol, Role};

use super::account::Account;
use super::address::{Tuple, path, sockaddr};
use super::event::View;
use super::io::{Done, ends};
use super::state::descriptor::{Descriptor, What};
use super::state::thread::Owner;
use crate::sink::Sink;

/// The call went on in the background; how it ended is not told by any event.
const IN_PROGRESS: i64 = -115;
/// Nothing went wrong either: it is to be called again.
const AGAIN: i64 = -11;
/// In a socket's type these bits are flags.
const TYPE: u32 = 0xff;

/// The protocol of a socket by its family, type and protocol, in the kernel's numbering.
fn protocol(family: u32, kind: u32) -> Protocol {
    const UNIX: u32 = 1;
    const V4: u32 = 2;
    const V6: u32 = 10;
    const NETLINK: u32 = 16;
    const PACKET: u32 = 17;
    const VSOCK: u32 = 40;
    match (family, kind & TYPE) {
        (UNIX, 1) => Protocol::UnixStream,
        (UNIX, _) => Protocol::UnixDatagram,
        (V4 | V6, 1) => Protocol::Tcp,
        (V4 | V6, 2) => Protocol::Udp,
        (V4 | V6, 3) | (PACKET, _) => Protocol::Raw,
        (NETLINK, _) => Protocol::Netlink,
        (VSOCK, _) => Protocol::Vsock,
        _ => Protocol::Other,
    }
}

impl Account {
    pub(super) fn socket(&mut self, place: u32, view: &View<'_>) {
        if let Some(fd) = view.i64(0).filter(|fd| *fd >= 0) {
            let number = |index| view.u32(index).unwrap_or_default();
            let what = What::socket(protocol(number(1), number(2)));
            self.put(place, fd, what, false);
        }
    }

    pub(super) fn socket_pair(&mut self, place: u32, view: &View<'_>) {
        let (Some(0..), Some(one), Some(other)) = (view.i64(0), view.i64(1), view.i64(2)) else {
            return;
        };
        let kind = view.u32(6).unwrap_or(1);
        for fd in [one, other] {
            self.put(place, fd, What::socket(protocol(1, kind)), false);
        }
    }

    pub(super) fn bind(&mut self, place: u32, view: &View<'_>) {
        let (Some(0), Some(fd)) = (view.i64(0), view.i64(2)) else {
            return;
        };
        let Some(local) = view.get(1).and_then(sockaddr) else {
            return;
        };
        if matches!(local, Address::Ip(_, 0) | Address::None) {
            return;
        }
        if let Some(connection) = self.connection(place, fd) {
            connection.local = local;
        }
    }

    /// The socket of a descriptor, to be changed.
    fn connection(&mut self, place: u32, fd: i64) -> Option<&mut Connection> {
        let (_, process) = self.state.both(place)?;
        match process.descriptors.get(fd)?.change() {
            What::Socket(connection) => Some(connection),
            _ => None,
        }
    }

    pub(super) fn connect<S: Sink>(&mut self, place: u32, at: u64, view: &View<'_>, sink: &mut S) {
        let (Some(result), Some(fd)) = (view.i64(0), view.i64(2)) else {
            return;
        };
        let connected = result >= 0 || result == IN_PROGRESS;
        if !connected && result == AGAIN {
            return;
        }
        let tuple = view.get(1).and_then(Tuple::read);
        let wanted = view.get(3).and_then(sockaddr);
        let owner = self.owner(place, at, sink);
        if connected {
            self.connected(place, fd, tuple, wanted);
            if owner != Owner::Nobody {
                self.charge(place, owner, at, Some(fd), Done::OPENED, sink);
            }
            return;
        }
        let Owner::Process {
            container, process, ..
        } = owner
        else {
            return;
        };
        let peer = match tuple {
            Some(Tuple::Ip(_, (ip, port))) => Address::Ip(ip, port),
            Some(Tuple::Unix(name)) => path(name),
            None => wanted.unwrap_or_default(),
        };
        let protocol = self.connection(place, fd).map(|known| known.protocol);
        let refused = Connection {
            protocol: protocol.unwrap_or_default(),
            role: Role::Client,
            local: Address::None,
            peer,
        };
        let error = std::io::Error::from_raw_os_error(result.unsigned_abs() as i32);
        let detail = format!("{}: {error}", refused.peer);
        let kind = EventKind::CONNECTION_FAILED;
        sink.event(at, container, kind, Some(process), &detail);
        let handle = sink.connection(container, &refused);
        let failed = Done::FAILED.of_connection();
        sink.network_io(at, process, handle, failed);
    }

    fn connected(
        &mut self,
        place: u32,
        fd: i64,
        tuple: Option<Tuple<'_>>,
        wanted: Option<Address>,
    ) {
        let Some(thread) = self.state.threads.get(place) else {
            return;
        };
        let Some(process) = self.state.processes.get_mut(thread.process) else {
            return;
        };
        let before = match process.descriptors.get(fd).map(|known| &*known.what) {
            Some(What::Socket(connection)) => connection.clone(),
            // How it was made was not seen.
            _ => Connection {
                protocol: Protocol::Other,
                role: Role::Unknown,
                local: Address::None,
                peer: Address::None,
            },
        };
        let mut now = Connection {
            role: Role::Client,
            ..before
        };
        match tuple {
            Some(Tuple::Ip(local, peer)) => {
                now = ends(&now, &self.state.interfaces, local, peer, true);
            }
            Some(Tuple::Unix(name)) => now.peer = path(name),
            None => now.peer = wanted.unwrap_or(now.peer),
        }
        match process.descriptors.get(fd) {
            Some(known) => *known.change() = What::Socket(now),
            None => process
                .descriptors
                .insert(fd, Descriptor::new(What::Socket(now))),
        }
    }

    pub(super) fn accept<S: Sink>(&mut self, place: u32, at: u64, view: &View<'_>, sink: &mut S) {
        let Some(fd) = view.i64(0).filter(|fd| *fd >= 0) else {
            return;
        };
        let mut accepted = Connection {
            protocol: Protocol::Tcp,
            role: Role::Server,
            local: Address::None,
            peer: Address::None,
        };
        match view.get(1).and_then(Tuple::read) {
            Some(Tuple::Ip(peer, local)) => {
                accepted.local = Address::Ip(local.0, local.1);
                accepted.peer = Address::Ip(peer.0, peer.1);
            }
            Some(Tuple::Unix(name)) => {
                accepted.protocol = Protocol::UnixStream;
                accepted.local = path(name);
            }
            None => accepted.protocol = Protocol::Other,
        }
        self.put(place, fd, What::Socket(accepted), false);
        let owner = self.owner(place, at, sink);
        if owner != Owner::Nobody {
            self.charge(place, owner, at, Some(fd), Done::OPENED, sink);
        }
    }
}
