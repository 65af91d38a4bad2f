//! Descriptors opened, duplicated and closed.

use bubble_common::segment::file::{File, FileKind};

use super::bytes::{MAX_PATH, text};
use super::call::{Index, NONE, OpenParams};
use super::descriptor::{self, CLOSE_ON_EXEC, DIRECTORY, Descriptor, Descriptors};
use super::path;
use super::thread::Process;
use super::view::{View, is_name};
use crate::recording::io::Resource;

/// The directory of a call that means the working directory (`PPM_AT_FDCWD`).
const WORKING_DIRECTORY: i64 = -100;
/// Commands of `fcntl` in the numbering of captures (`PPM_FCNTL_F_…`).
const F_DUPFD: u32 = 1;
const F_DUPFD_CLOEXEC: u32 = 26;
const F_SETFD: u32 = 3;
/// `FD_CLOEXEC`, an argument of `F_SETFD`.
const FD_CLOEXEC: i64 = 1;
/// `CLOSE_RANGE_CLOEXEC`: the descriptors are closed at exec, not now.
const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// Adds a descriptor that a call made.
fn insert(descriptors: &mut Descriptors, fd: i64, resource: Resource, close_on_exec: bool) {
    let descriptor = Descriptor {
        close_on_exec,
        ..Descriptor::new(resource)
    };
    descriptors.insert(fd, descriptor);
}

/// The descriptor that a call returned; `None` if it failed.
fn new_descriptor(view: &View<'_>) -> Option<i64> {
    view.i64(0).filter(|fd| *fd >= 0)
}

/// Adds an opened file; returns its descriptor if its name is known.
pub(super) fn open(process: &mut Process, view: &View<'_>, params: OpenParams) -> Option<i64> {
    let fd = new_descriptor(view)?;
    let before = view.name_before(params.name - 1);
    let Some(name) = before.or_else(|| view.get(params.name).filter(|it| is_name(it))) else {
        insert(&mut process.descriptors, fd, Resource::Unknown, false);
        return None;
    };
    let directory = match params.directory {
        NONE => Some(WORKING_DIRECTORY),
        index => view.i64(index),
    };
    let directory = match directory {
        Some(WORKING_DIRECTORY) => Some(&*process.cwd).filter(|cwd| !cwd.is_empty()),
        Some(fd) => match process.descriptors.get(fd).map(|known| &*known.resource) {
            Some(Resource::File(file)) => Some(file.path.as_str()),
            _ => None,
        },
        None => None,
    };
    let path = path::join(directory, name);
    let flags = view.u32(params.flags).unwrap_or_default();
    let kind = match flags & DIRECTORY {
        0 => FileKind::Regular,
        _ => FileKind::Directory,
    };
    let file = Resource::File(File { path, kind });
    let close_on_exec = flags & CLOSE_ON_EXEC != 0;
    insert(&mut process.descriptors, fd, file, close_on_exec);
    Some(fd)
}

/// Adds a descriptor without a path.
pub(super) fn anonymous(descriptors: &mut Descriptors, view: &View<'_>, name: Index, kind: &str) {
    let Some(fd) = new_descriptor(view) else {
        return;
    };
    let resource = match view.get(name).filter(|name| is_name(name)) {
        Some(name) => {
            let name = text(name, MAX_PATH);
            descriptor::anonymous(&format!("{kind}:{name}"))
        }
        None => descriptor::anonymous(kind),
    };
    insert(descriptors, fd, resource, false);
}

pub(super) fn close(descriptors: &mut Descriptors, view: &View<'_>) {
    if let (Some(0..), Some(fd)) = (view.i64(0), view.i64(1)) {
        descriptors.remove(fd);
    }
}

pub(super) fn close_range(descriptors: &mut Descriptors, view: &View<'_>) {
    let (Some(0..), Some(first), Some(last)) = (view.i64(0), view.u32(1), view.u32(2)) else {
        return;
    };
    let at_exec = view.u32(3).unwrap_or_default() & CLOSE_RANGE_CLOEXEC != 0;
    let range = i64::from(first)..=i64::from(last);
    descriptors.retain(|fd, known| {
        let is_within = range.contains(&fd);
        known.close_on_exec |= is_within && at_exec;
        !is_within || at_exec
    });
}

/// Makes `new` a duplicate of `old`.
fn duplicate(descriptors: &mut Descriptors, old: i64, new: i64, close_on_exec: bool) {
    match descriptors.get(old).cloned() {
        Some(known) => {
            let duplicate = Descriptor {
                close_on_exec: close_on_exec || (old == new && known.close_on_exec),
                ..known
            };
            descriptors.insert(new, duplicate);
        }
        None => descriptors.remove(new),
    }
}

pub(super) fn dup(descriptors: &mut Descriptors, view: &View<'_>, old: Index, flags: Index) {
    if let (Some(new), Some(old)) = (new_descriptor(view), view.i64(old)) {
        let flags = view.u32(flags).unwrap_or_default();
        duplicate(descriptors, old, new, flags & CLOSE_ON_EXEC != 0);
    }
}

pub(super) fn fcntl(descriptors: &mut Descriptors, view: &View<'_>) {
    let (Some(result @ 0..), Some(fd), Some(command)) = (view.i64(0), view.i64(1), view.small(2))
    else {
        return;
    };
    match command {
        F_DUPFD => duplicate(descriptors, fd, result, false),
        F_DUPFD_CLOEXEC => duplicate(descriptors, fd, result, true),
        F_SETFD => {
            if let (Some(flags), Some(known)) = (view.i64(3), descriptors.get(fd)) {
                known.close_on_exec = flags & FD_CLOEXEC != 0;
            }
        }
        _ => {}
    }
}

/// Adds a descriptor taken from another process, which is not known by its number there.
pub(super) fn pidfd_getfd(descriptors: &mut Descriptors, view: &View<'_>) {
    if let Some(fd) = new_descriptor(view) {
        insert(descriptors, fd, Resource::Unknown, true);
    }
}

pub(super) fn pipe(descriptors: &mut Descriptors, view: &View<'_>, flags: Index) {
    let (Some(0..), Some(read), Some(write)) = (view.i64(0), view.i64(1), view.i64(2)) else {
        return;
    };
    let close_on_exec = view.u32(flags).unwrap_or_default() & CLOSE_ON_EXEC != 0;
    for fd in [read, write] {
        insert(descriptors, fd, descriptor::pipe(), close_on_exec);
    }
}
