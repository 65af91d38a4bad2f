//! Bytes and operations, charged to the resource that a descriptor stands for.

use std::sync::Arc;

use super::call::{Index, IoParams};
use super::pending::{Activity, Pending};
use super::rows::Rows;
use super::socket;
use super::state::State;
use super::thread::Owner;
use super::view::View;
use crate::recording::io::{
    CachedHandle, Direction, Moved, Operation, Resource, report_implausible,
};
use crate::sink::Sink;
use crate::time::SECOND;

/// A call moved bytes through a descriptor.
#[inline]
pub(super) fn moved<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    thread: u32,
    view: &View<'_>,
    params: IoParams,
    sink: &mut S,
) {
    let Some(bytes) = moved_bytes(state, rows, thread, view, sink) else {
        return;
    };
    if let Some(control) = view.get(params.control)
        && let Some(process) = state.process(thread)
    {
        socket::receive_descriptors(&mut process.descriptors, control);
    }
    if bytes == 0 {
        return;
    }
    let owner = rows.owner(state, thread, view.event.at, sink);
    if owner == Owner::Nobody && !can_defer(state, rows, thread) {
        return;
    }
    let fd = view.i64(params.fd);
    if let (Some(fd), Some(tuple)) = (fd, view.get(params.tuple)) {
        socket::name_by_tuple(state, thread, fd, tuple, params.direction);
    }
    let operation = Operation::transfer(bytes, params.direction);
    charge_call(state, rows, (thread, owner), view, fd, operation, sink);
}

/// A call moved bytes from one descriptor to another.
pub(super) fn transferred<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    thread: u32,
    view: &View<'_>,
    ends: [Index; 2],
    sink: &mut S,
) {
    let Some(bytes @ 1..) = moved_bytes(state, rows, thread, view, sink) else {
        return;
    };
    let owner = rows.owner(state, thread, view.event.at, sink);
    if owner == Owner::Nobody && !can_defer(state, rows, thread) {
        return;
    }
    for (end, direction) in ends.into_iter().zip([Direction::In, Direction::Out]) {
        let operation = Operation::transfer(bytes, direction);
        let fd = view.i64(end);
        charge_call(state, rows, (thread, owner), view, fd, operation, sink);
    }
}

/// A file was opened, or a socket connected, under the number `fd`.
pub(super) fn opened<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    thread: u32,
    view: &View<'_>,
    fd: i64,
    sink: &mut S,
) {
    let owner = rows.owner(state, thread, view.event.at, sink);
    if owner != Owner::Nobody || can_defer(state, rows, thread) {
        let by = (thread, owner);
        charge_call(state, rows, by, view, Some(fd), Operation::OPEN, sink);
    }
}

/// The bytes that a call moved; `None` if it failed, or if its result cannot be.
#[inline]
fn moved_bytes<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    thread: u32,
    view: &View<'_>,
    sink: &mut S,
) -> Option<u64> {
    match Moved::new(view.i64(0)?) {
        Moved::Bytes(bytes) => Some(bytes),
        Moved::Failed => None,
        Moved::Implausible => {
            let at = view.event.at;
            if let Owner::Process { container, .. } = rows.owner(state, thread, at, sink) {
                report_implausible(at, Some(container), sink);
            }
            None
        }
    }
}

fn can_defer(state: &mut State, rows: &Rows, thread: u32) -> bool {
    let process = state.process(thread);
    process.is_some_and(|process| rows.can_defer(process))
}

/// Charges an operation on a descriptor (`None`: which one is not known), or defers it.
#[inline]
fn charge_call<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    (thread, owner): (u32, Owner),
    view: &View<'_>,
    fd: Option<i64>,
    operation: Operation,
    sink: &mut S,
) {
    let at = view.event.at;
    let Some(process) = state.process(thread) else {
        return;
    };
    let descriptor = fd.and_then(|fd| process.descriptors.get(fd));
    match (owner, descriptor) {
        (Owner::Process { .. }, Some(descriptor)) => {
            charge(
                owner,
                at,
                &descriptor.resource,
                &mut descriptor.handle,
                operation,
                sink,
            );
        }
        (Owner::Process { .. }, None) => {
            charge(owner, at, &Resource::Unknown, &mut None, operation, sink);
        }
        (Owner::Nobody, descriptor) => {
            let resource = match descriptor {
                Some(descriptor) => Arc::clone(&descriptor.resource),
                None => Arc::new(Resource::Unknown),
            };
            let pending = Pending {
                thread,
                at,
                activity: Activity::Io(resource, operation),
            };
            rows.defer(process, pending);
        }
    }
}

/// Charges an operation on a resource, with the handle that is cached for it.
#[inline]
fn charge<S: Sink>(
    owner: Owner,
    at: u64,
    resource: &Resource,
    cached: &mut Option<(u32, CachedHandle)>,
    operation: Operation,
    sink: &mut S,
) {
    let Owner::Process {
        key,
        container,
        process,
    } = owner
    else {
        return;
    };
    let second = at / SECOND;
    let handle = match cached {
        Some((of, cached)) if *of == key && cached.is_fresh(second) => cached.handle,
        _ => {
            let handle = resource.handle(container, sink);
            *cached = Some((key, CachedHandle { handle, second }));
            handle
        }
    };
    resource.charge(at, container, process, handle, operation, sink);
}
