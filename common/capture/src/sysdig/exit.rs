//! A call that ended, with the descriptors in its line and in the one when it began.

use bubble_common::segment::network::Role;

use super::containers::Container;
use super::descriptor::Descriptor;
use super::line::{self, Line, value, value_after_data};
use super::process::Processes;
use crate::recording::io::{Direction, ResourceHandle};
use crate::sink::{ProcessHandle, Sink};

/// A call that ended.
#[derive(Debug)]
pub(super) struct Exit<'a> {
    pub(super) line: &'a Line<'a>,
    /// The arguments when it began; empty if that was not seen.
    pub(super) began: &'a [u8],
    pub(super) container: &'a mut Container,
    pub(super) processes: &'a mut Processes,
    /// The second of the line.
    pub(super) second: u64,
}

impl<'a> Exit<'a> {
    /// The result of the call.
    pub(super) fn result(&self) -> Option<i64> {
        result(self.line)
    }

    /// The handle of the caller.
    pub(super) fn process<S: Sink>(&mut self, sink: &mut S) -> ProcessHandle {
        let container = (self.container.index, self.container.handle);
        self.processes.handle(self.line, container, sink)
    }

    /// The descriptor that the call returned; `None` if it failed.
    pub(super) fn new_descriptor(&self) -> Option<Descriptor<'a>> {
        let descriptor = value(self.line.arguments, "fd").and_then(Descriptor::parse)?;
        (descriptor.number >= 0).then_some(descriptor)
    }

    /// The descriptor in the argument `key`. Arguments after `data=` are trusted last, as data
    /// may hold anything: those when the call began come first.
    pub(super) fn descriptor(&self, key: &str) -> Option<Descriptor<'a>> {
        let written = value(self.line.arguments, key)
            .or_else(|| value(self.began, key))
            .or_else(|| value_after_data(self.line.arguments, key));
        written.and_then(Descriptor::parse)
    }

    /// The two ends of a connection that the call itself carries.
    pub(super) fn tuple(&self) -> Option<&'a [u8]> {
        tuple(self.line.arguments).or_else(|| tuple(self.began))
    }

    /// Which side of a connection the container is.
    pub(super) fn role(&mut self, descriptor: &Descriptor<'_>) -> Role {
        if !descriptor.is_socket() {
            return Role::Unknown;
        }
        let socket = self.processes.of_line(self.line);
        let socket = socket.and_then(|process| process.sockets.get(&descriptor.number));
        match socket.map_or(Role::Unknown, |socket| socket.role) {
            Role::Unknown => {}
            known => return known,
        }
        match descriptor.server() {
            Some(server) if self.container.is_listening(server) => Role::Server,
            _ => Role::Unknown,
        }
    }

    /// Which side of an exchange of datagrams the container is: the client spoke first, from a
    /// port that it did not choose.
    pub(super) fn speaker(&mut self, descriptor: &Descriptor<'_>, direction: Direction) -> Role {
        let process = self.processes.of_line(self.line);
        let known = process.as_ref();
        let known = known.and_then(|process| process.sockets.get(&descriptor.number));
        let is_made_unbound = known.is_some_and(|socket| !socket.is_bound);
        match known.map_or(Role::Unknown, |socket| socket.role) {
            Role::Unknown => {}
            role => return role,
        }
        let role = match direction {
            Direction::In if !is_made_unbound => Role::Server,
            Direction::In | Direction::Out => Role::Client,
        };
        let socket = process.and_then(|process| process.socket(descriptor.number));
        if let Some(socket) = socket {
            socket.role = role;
        }
        role
    }

    /// The handle of a descriptor's resource.
    pub(super) fn handle<S: Sink>(
        &mut self,
        descriptor: &Descriptor<'_>,
        role: Role,
        sink: &mut S,
    ) -> ResourceHandle {
        let container = self.container.handle;
        let handles = &mut self.container.handles;
        handles.get(self.second, container, descriptor, role, sink)
    }
}

/// The result of a line's call.
pub(super) fn result(line: &Line<'_>) -> Option<i64> {
    line::number(line.arguments, "res")
}

/// The two ends of a connection in arguments. Without a peer they are `tuple=NULL`.
pub(super) fn tuple(arguments: &[u8]) -> Option<&[u8]> {
    let tuple = value(arguments, "tuple").or_else(|| value_after_data(arguments, "tuple"));
    let tuple = tuple.map(line::up_to_next);
    tuple.filter(|tuple| !tuple.is_empty() && *tuple != b"NULL")
}
