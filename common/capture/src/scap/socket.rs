//! Sockets: made, bound, connected, accepted, and named by the addresses that calls carry.

use std::net::IpAddr;

use bubble_common::segment::network::{Address, Connection, Protocol, Role};

use super::address::{Interfaces, Tuple, is_unspecified, path, sockaddr};
use super::bytes::Bytes;
use super::descriptor::{self, Descriptor, Descriptors};
use super::state::State;
use super::view::View;
use crate::recording::io::{ConnectResult, Direction, Resource};

/// Most descriptors that are taken from one message: the kernel's own limit (`SCM_MAX_FD`).
const MAX_PASSED_DESCRIPTORS: usize = 253;
/// The type of a control message that passes descriptors.
const SCM_RIGHTS: u32 = 1;
/// The bits of a socket's type that are no flags.
const TYPE_MASK: u32 = 0xff;

/// How a call of `connect` ended, on its descriptor.
#[derive(Debug)]
pub(super) enum Connect {
    Connected(i64),
    /// The connection as it was tried, and the error number.
    Failed(Connection, i32),
}

/// The protocol of a socket by its family and type, in the kernel's numbering.
fn protocol(family: u32, kind: u32) -> Protocol {
    const UNIX: u32 = 1;
    const V4: u32 = 2;
    const V6: u32 = 10;
    const NETLINK: u32 = 16;
    const PACKET: u32 = 17;
    const VSOCK: u32 = 40;
    match (family, kind & TYPE_MASK) {
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

pub(super) fn socket(descriptors: &mut Descriptors, view: &View<'_>) {
    if let Some(fd) = view.i64(0).filter(|fd| *fd >= 0) {
        let number = |index| view.u32(index).unwrap_or_default();
        let socket = descriptor::socket(protocol(number(1), number(2)));
        descriptors.insert(fd, Descriptor::new(Resource::Socket(socket)));
    }
}

pub(super) fn socket_pair(descriptors: &mut Descriptors, view: &View<'_>) {
    let (Some(0..), Some(one), Some(other)) = (view.i64(0), view.i64(1), view.i64(2)) else {
        return;
    };
    let kind = view.u32(6).unwrap_or(1);
    for fd in [one, other] {
        let socket = descriptor::socket(protocol(1, kind));
        descriptors.insert(fd, Descriptor::new(Resource::Socket(socket)));
    }
}

pub(super) fn bind(descriptors: &mut Descriptors, view: &View<'_>) {
    let (Some(0), Some(fd)) = (view.i64(0), view.i64(2)) else {
        return;
    };
    let Some(local) = view.get(1).and_then(sockaddr) else {
        return;
    };
    if matches!(local, Address::Ip(_, 0) | Address::None) {
        return;
    }
    let socket = descriptors.get(fd).map(Descriptor::change);
    if let Some(Resource::Socket(connection)) = socket {
        connection.local = local;
    }
}

/// Takes in a call of `connect`; `None` if it changed nothing.
pub(super) fn connect(
    descriptors: &mut Descriptors,
    interfaces: &Interfaces,
    view: &View<'_>,
) -> Option<Connect> {
    let (Some(result), Some(fd)) = (view.i64(0), view.i64(2)) else {
        return None;
    };
    let tuple = view.get(1).and_then(Tuple::read);
    let wanted = view.get(3).and_then(sockaddr);
    let (local, peer) = connect_ends(tuple, wanted);
    let known = match descriptors.get(fd).map(|known| &*known.resource) {
        Some(Resource::Socket(connection)) => Some(connection.clone()),
        _ => None,
    };
    let client = |protocol| Connection {
        role: Role::Client,
        ..known.clone().unwrap_or(descriptor::socket(protocol))
    };
    match ConnectResult::new(result) {
        ConnectResult::Again => None,
        ConnectResult::Failed(error) => {
            let mut tried = client(Protocol::default());
            tried.peer = peer.unwrap_or_default();
            Some(Connect::Failed(tried, error))
        }
        ConnectResult::Connected if is_disconnect(view, peer.as_ref()) => {
            let socket = descriptors.get(fd).map(Descriptor::change);
            if let Some(Resource::Socket(connection)) = socket {
                (connection.role, connection.peer) = (Role::Unknown, Address::None);
            }
            None
        }
        ConnectResult::Connected => {
            // How an unknown one was made was not seen.
            let mut now = client(Protocol::Other);
            match (local, peer) {
                (Some(local), Some(Address::Ip(ip, port))) => {
                    now = with_ends(&now, interfaces, local, (ip, port), Direction::Out);
                }
                (_, peer) => now.peer = peer.unwrap_or(now.peer),
            }
            match descriptors.get(fd) {
                Some(known) => *known.change() = Resource::Socket(now),
                None => descriptors.insert(fd, Descriptor::new(Resource::Socket(now))),
            }
            Some(Connect::Connected(fd))
        }
    }
}

/// The local end of a call of `connect`, if it is an IP socket, and its peer. The peer of a socket
/// of IPv6 may be missing in `tuple`, the socket's own ends; then it is `wanted`, the argument.
fn connect_ends(
    tuple: Option<Tuple<'_>>,
    wanted: Option<Address>,
) -> (Option<(IpAddr, u16)>, Option<Address>) {
    match (tuple, wanted) {
        (Some(Tuple::Ip(local, (ip, _))), Some(wanted)) if ip.is_unspecified() => {
            (Some(local), Some(wanted))
        }
        (Some(Tuple::Ip(local, (ip, port))), _) => (Some(local), Some(Address::Ip(ip, port))),
        (Some(Tuple::Unix(name)), _) => (None, Some(path(name))),
        (None, wanted) => (None, wanted),
    }
}

/// Whether a call of `connect` ended the connection of a socket (`AF_UNSPEC`, connect(2)): its
/// peer is no address any more.
fn is_disconnect(view: &View<'_>, peer: Option<&Address>) -> bool {
    let is_nobody = |peer: &Address| matches!(peer, Address::Ip(ip, 0) if ip.is_unspecified());
    view.get(3).is_some_and(is_unspecified) || peer.is_some_and(is_nobody)
}

/// Adds an accepted connection; returns its descriptor.
pub(super) fn accept(descriptors: &mut Descriptors, view: &View<'_>) -> Option<i64> {
    let fd = view.i64(0).filter(|fd| *fd >= 0)?;
    let mut accepted = Connection {
        role: Role::Server,
        ..descriptor::socket(Protocol::Tcp)
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
    descriptors.insert(fd, Descriptor::new(Resource::Socket(accepted)));
    Some(fd)
}

/// Takes the addresses of a socket from a call that carries both. The socket may have no
/// connection, or one that was made before the capture.
pub(super) fn name_by_tuple(
    state: &mut State,
    thread: u32,
    fd: i64,
    tuple: &[u8],
    direction: Direction,
) {
    let Some(tuple) = Tuple::read(tuple) else {
        return;
    };
    let Some(key) = state.threads.get(thread).map(|thread| thread.process) else {
        return;
    };
    let Some(process) = state.processes.get_mut(key) else {
        return;
    };
    let descriptors = &mut process.descriptors;
    let is_unknown = |known: &mut Descriptor| matches!(*known.resource, Resource::Unknown);
    if descriptors.get(fd).is_none_or(is_unknown) {
        let protocol = match tuple {
            Tuple::Ip(..) => Protocol::Other,
            Tuple::Unix(_) => Protocol::UnixStream,
        };
        let socket = Resource::Socket(descriptor::socket(protocol));
        descriptors.insert(fd, Descriptor::new(socket));
    }
    let Some(known) = descriptors.get(fd) else {
        return;
    };
    let Resource::Socket(connection) = &*known.resource else {
        return;
    };
    let named = match tuple {
        Tuple::Unix(name) => name_unix(connection, name),
        Tuple::Ip(from, to) => {
            let udp = known
                .maybe_udp
                .then(|| as_udp(connection, from, to, direction))
                .flatten();
            let connection = udp.as_ref().unwrap_or(connection);
            name_ip(connection, &state.interfaces, from, to, direction).or(udp)
        }
    };
    if let Some(named) = named.filter(|named| named != connection) {
        *known.change() = Resource::Socket(named);
    }
}

/// The connection as one of UDP, if it cannot be one of TCP: bytes come from another peer than
/// its own, or it has none, as a TCP socket that listens.
fn as_udp(
    connection: &Connection,
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    direction: Direction,
) -> Option<Connection> {
    let (ip, port) = match direction {
        Direction::Out => to,
        Direction::In => from,
    };
    let is_tcp = connection.protocol == Protocol::Tcp;
    (is_tcp && connection.peer != Address::Ip(ip, port)).then(|| Connection {
        protocol: Protocol::Udp,
        ..connection.clone()
    })
}

/// The connection with the path of a Unix socket; `None` if it has one already.
fn name_unix(connection: &Connection, name: &[u8]) -> Option<Connection> {
    let is_unnamed = connection.peer == Address::None && connection.local == Address::None;
    is_unnamed.then(|| Connection {
        peer: path(name),
        ..connection.clone()
    })
}

/// The connection with the addresses of a call; `None` if they are
/// known for good.
fn name_ip(
    connection: &Connection,
    interfaces: &Interfaces,
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    direction: Direction,
) -> Option<Connection> {
    if connection.peer != Address::None && connection.protocol == Protocol::Tcp {
        return None;
    }
    let (local, peer) = match direction {
        Direction::Out => (from, to),
        Direction::In => (to, from),
    };
    Some(with_ends(connection, interfaces, local, peer, direction))
}

/// The connection with both ends, from a call of this direction.
fn with_ends(
    before: &Connection,
    interfaces: &Interfaces,
    local: (IpAddr, u16),
    peer: (IpAddr, u16),
    direction: Direction,
) -> Connection {
    let is_bound = before.local != Address::None;
    let role = match before.role {
        // The one that speaks first, from a port that it did not choose, is the client.
        Role::Unknown if direction == Direction::Out || !is_bound => Role::Client,
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

/// Descriptors came in a message. The capture lacks their resources, but they replace the
/// earlier descriptors of the same numbers.
pub(super) fn receive_descriptors(descriptors: &mut Descriptors, control: &[u8]) {
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
        if kind == SCM_RIGHTS {
            for fd in data.chunks_exact(4).take(MAX_PASSED_DESCRIPTORS) {
                let fd = i32::from_le_bytes([fd[0], fd[1], fd[2], fd[3]]);
                descriptors.insert(i64::from(fd), Descriptor::new(Resource::Unknown));
            }
        }
        // The next one is aligned.
        rest.take((length.next_multiple_of(8) - length).min(rest.0.len()));
    }
}
