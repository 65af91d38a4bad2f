//! Calls that make, connect, accept and close sockets.

use std::borrow::Cow;

use bubble_common::segment::network::Role;

use super::descriptor::{Descriptor, address, ends};
use super::exit::{Exit, tuple};
use super::line;
use super::process::Socket;
use crate::recording::io::{
    ConnectResult, Operation, Resource, ResourceHandle, charge_failed_connect,
};
use crate::sink::Sink;

/// A socket was made: remembers its protocol, which no other call carries.
pub(super) fn made<S: Sink>(exit: &mut Exit<'_>, sink: &mut S) {
    let Some(descriptor) = exit.new_descriptor() else {
        return;
    };
    let kind = line::number(exit.began, "type");
    let kind = kind.or_else(|| line::number(exit.line.arguments, "type"));
    let protocol = match kind.unwrap_or(0) & 0xf {
        1 => b't',
        2 => b'u',
        3 => b'r',
        _ => 0,
    };
    exit.process(sink);
    let process = exit.processes.of_line(exit.line);
    if let Some(socket) = process.and_then(|process| process.socket(descriptor.number)) {
        *socket = Socket {
            protocol,
            ..Socket::default()
        };
    }
}

/// A socket got an address.
pub(super) fn bound(exit: &mut Exit<'_>) {
    let (Some(0), Some(descriptor)) = (exit.result(), exit.descriptor("fd")) else {
        return;
    };
    let process = exit.processes.of_line(exit.line);
    if let Some(socket) = process.and_then(|process| process.socket(descriptor.number)) {
        socket.is_bound = true;
    }
}

/// A socket was connected, or the attempt failed.
pub(super) fn connected<S: Sink>(exit: &mut Exit<'_>, sink: &mut S) {
    let (Some(result), Some(descriptor)) = (exit.result(), exit.descriptor("fd")) else {
        return;
    };
    let result = ConnectResult::new(result);
    if result == ConnectResult::Again {
        return;
    }
    let process = exit.process(sink);
    let name = connect_name(exit, &descriptor);
    let mut protocol = 0;
    if let Some(process) = exit.processes.of_line(exit.line) {
        let number = descriptor.number;
        protocol = process.sockets.get(&number).map_or(0, |it| it.protocol);
        if result == ConnectResult::Connected
            && let Some(socket) = process.socket(number)
        {
            socket.role = match name {
                Some(_) => Role::Client,
                None => Role::Unknown,
            };
        }
    }
    let Some(name) = name else {
        return;
    };
    // Before the call a socket is `<4>`: neither its peer nor its protocol are known.
    let family = descriptor.kind.first().copied().unwrap_or(0);
    let full = [family, protocol];
    let descriptor = Descriptor {
        number: descriptor.number,
        kind: match descriptor.kind {
            [b'4' | b'6'] if protocol != 0 => &full[..],
            kind => kind,
        },
        name: &name,
    };
    let at = exit.line.at;
    if let ConnectResult::Failed(error) = result {
        if let Resource::Socket(connection) = descriptor.resource(Role::Client) {
            let container = exit.container.handle;
            charge_failed_connect(at, container, process, connection, error, sink);
        }
        return;
    }
    let handle = exit.handle(&descriptor, Role::Client, sink);
    if let ResourceHandle::Connection(_) = handle {
        Operation::OPEN.charge(at, process, handle, sink);
    }
}

/// The two ends that a call of `connect` names; `None` if it ended a connection (`AF_UNSPEC`,
/// connect(2)).
///
/// The peer of a socket of IPv6 may be missing in `tuple`, the socket's own ends; then it is the
/// argument of the call.
fn connect_name<'a>(exit: &Exit<'a>, descriptor: &Descriptor<'a>) -> Option<Cow<'a, [u8]>> {
    let Some(tuple) = tuple(exit.line.arguments) else {
        return Some(Cow::Borrowed(descriptor.name));
    };
    let is_nowhere = |end| address(end).is_some_and(|(ip, _)| ip.is_unspecified());
    let (local, peer) = match ends(tuple) {
        Some((local, peer)) if is_nowhere(peer) => (local, peer),
        _ => return Some(Cow::Borrowed(tuple)),
    };
    let wanted = line::text(exit.line.arguments, "addr").or_else(|| line::text(exit.began, "addr"));
    let wanted = wanted.map(<[u8]>::trim_ascii);
    match wanted.filter(|wanted| address(wanted).is_some()) {
        Some(wanted) => Some(Cow::Owned([local, b"->", wanted].concat())),
        None if address(peer).is_some_and(|(_, port)| port == 0) => None,
        None => Some(Cow::Borrowed(tuple)),
    }
}

/// A connection was accepted.
pub(super) fn accepted<S: Sink>(exit: &mut Exit<'_>, sink: &mut S) {
    let Some(descriptor) = exit.new_descriptor() else {
        return;
    };
    let process = exit.process(sink);
    forget(exit, descriptor.number);
    if let Some(server) = descriptor.server() {
        exit.container.add_listening(server);
    }
    let handle = exit.handle(&descriptor, Role::Server, sink);
    if let ResourceHandle::Connection(_) = handle {
        Operation::OPEN.charge(exit.line.at, process, handle, sink);
    }
}

/// A descriptor was closed.
pub(super) fn closed(exit: &mut Exit<'_>) {
    if let Some(descriptor) = exit.descriptor("fd") {
        forget(exit, descriptor.number);
    }
}

/// Forgets the socket of a number, which now stands for another one, or nothing.
fn forget(exit: &mut Exit<'_>, number: i64) {
    if let Some(process) = exit.processes.of_line(exit.line) {
        process.sockets.remove(&number);
    }
}
