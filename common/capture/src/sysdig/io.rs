//! Calls that move bytes or open files.

use bubble_common::segment::network::Role;

use super::descriptor::{self, Descriptor};
use super::exit::Exit;
use crate::recording::io::{
    Direction, Moved, Operation, Resource, ResourceHandle, report_implausible,
};
use crate::sink::{ProcessHandle, Sink};

/// Bytes went through a descriptor.
pub(super) fn moved<S: Sink>(exit: &mut Exit<'_>, direction: Direction, sink: &mut S) {
    let Some((process, bytes)) = bytes(exit, sink) else {
        return;
    };
    // Only the calls of sockets (send…, recv…) carry a peer.
    let has_peer = matches!(exit.line.call, [b's', b'e', ..] | [b'r', b'e', b'c', ..]);
    let tuple = if has_peer { exit.tuple() } else { None };
    let descriptor = exit.descriptor("fd");
    let operation = Operation::transfer(bytes, direction);
    charge(exit, process, descriptor, tuple, direction, operation, sink);
}

/// Bytes went from one descriptor to another.
pub(super) fn copied<S: Sink>(exit: &mut Exit<'_>, from: &str, to: &str, sink: &mut S) {
    let Some((process, bytes)) = bytes(exit, sink) else {
        return;
    };
    for (key, direction) in [(from, Direction::In), (to, Direction::Out)] {
        let descriptor = exit.descriptor(key);
        let operation = Operation::transfer(bytes, direction);
        charge(exit, process, descriptor, None, direction, operation, sink);
    }
}

/// A file was opened.
pub(super) fn opened<S: Sink>(exit: &mut Exit<'_>, sink: &mut S) {
    let Some(descriptor) = exit.new_descriptor() else {
        return;
    };
    let process = exit.process(sink);
    let handle = exit.handle(&descriptor, Role::Unknown, sink);
    if let ResourceHandle::File(_) = handle {
        Operation::OPEN.charge(exit.line.at, process, handle, sink);
    }
}

/// The caller, and the bytes that it moved; `None` if the call moved none.
fn bytes<S: Sink>(exit: &mut Exit<'_>, sink: &mut S) -> Option<(ProcessHandle, u64)> {
    match Moved::new(exit.result()?) {
        Moved::Bytes(bytes @ 1..) => Some((exit.process(sink), bytes)),
        Moved::Bytes(0) | Moved::Failed => None,
        Moved::Implausible => {
            report_implausible(exit.line.at, Some(exit.container.handle), sink);
            None
        }
    }
}

/// Charges an operation on a descriptor (`None`: which one is not known).
fn charge<S: Sink>(
    exit: &mut Exit<'_>,
    process: ProcessHandle,
    descriptor: Option<Descriptor<'_>>,
    tuple: Option<&[u8]>,
    direction: Direction,
    operation: Operation,
    sink: &mut S,
) {
    let (at, container) = (exit.line.at, exit.container.handle);
    let Some(descriptor) = descriptor else {
        let handle = exit.handle(&Descriptor::UNKNOWN, Role::Unknown, sink);
        Resource::Unknown.charge(at, container, process, handle, operation, sink);
        return;
    };
    let turned;
    let is_stream = matches!(descriptor.kind, [_, b't'] | b"u" | b"n");
    let (descriptor, role) = match tuple {
        // Without a connection each message has its ends, the sender first.
        Some(tuple) if descriptor.is_socket() && !is_stream => {
            let role = exit.speaker(&descriptor, direction);
            let is_client_first = (role == Role::Client) == (direction == Direction::Out);
            let name = match descriptor::ends(tuple) {
                Some((from, to)) if !is_client_first => {
                    turned = [to, b"->", from].concat();
                    &turned[..]
                }
                _ => tuple,
            };
            (Descriptor { name, ..descriptor }, role)
        }
        _ => (descriptor, exit.role(&descriptor)),
    };
    let handle = exit.handle(&descriptor, role, sink);
    operation.charge(at, process, handle, sink);
}
