//! Descriptors made, doubled and closed.

use bubble_common::segment::file::{File, FileKind};

use super::account::Account;
use super::call::{Index, NONE};
use super::event::{View, is_name};
use super::io::Done;
use super::state::descriptor::{CLOSE_ON_EXEC, DIRECTORY, Descriptor, What};
use super::state::path;
use super::state::thread::Owner;
use crate::sink::Sink;

/// The directory of a call that means the working directory.
const HERE: i64 = -100;
/// `fcntl` in the numbering of captures.
const DUPLICATE: u32 = 1;
const DUPLICATE_CLOSE_ON_EXEC: u32 = 26;
const SET_FLAGS: u32 = 3;
/// The flag of `close_range` by which nothing is closed yet.
const RANGE_CLOSE_ON_EXEC: u32 = 4;

impl Account {
    /// Puts a descriptor that a call made into the table of its process.
    pub(super) fn put(&mut self, place: u32, fd: i64, what: What, close_on_exec: bool) {
        if let Some((_, process)) = self.state.both(place) {
            let descriptor = Descriptor {
                close_on_exec,
                ..Descriptor::new(what)
            };
            process.descriptors.insert(fd, descriptor);
        }
    }

    /// A file was opened.
    pub(super) fn open<S: Sink>(
        &mut self,
        place: u32,
        at: u64,
        view: &View<'_>,
        [directory, name, flags]: [Index; 3],
        sink: &mut S,
    ) {
        let Some(fd) = view.i64(0).filter(|fd| *fd >= 0) else {
            return;
        };
        let Some((_, process)) = self.state.both(place) else {
            return;
        };
        let before = view.name_before(name - 1);
        let Some(given) = before.or_else(|| view.get(name).filter(|it| is_name(it))) else {
            return self.put(place, fd, What::Unknown, false);
        };
        let of = match directory {
            NONE => Some(HERE),
            _ => view.i64(directory),
        };
        let directory = match of {
            Some(HERE) => Some(&*process.cwd).filter(|cwd| !cwd.is_empty()),
            Some(of) => match process.descriptors.get(of).map(|known| &*known.what) {
                Some(What::File(file)) => Some(file.path.as_str()),
                _ => None,
            },
            None => None,
        };
        let path = path::join(directory, given);
        let flags = view.u32(flags).unwrap_or_default();
        let kind = match flags & DIRECTORY {
            0 => FileKind::Regular,
            _ => FileKind::Directory,
        };
        let what = What::File(File { path, kind });
        self.put(place, fd, what, flags & CLOSE_ON_EXEC != 0);
        let owner = self.owner(place, at, sink);
        if owner != Owner::Nobody {
            self.charge(place, owner, at, Some(fd), Done::OPENED, sink);
        }
    }

    /// Something without a name was made.
    pub(super) fn anonymous(&mut self, place: u32, view: &View<'_>, name: Index, what: &str) {
        let Some(fd) = view.i64(0).filter(|fd| *fd >= 0) else {
            return;
        };
        let name = view.get(name).filter(|name| is_name(name));
        let what = match name {
            Some(name) => {
                let name = super::bytes::text(name, super::list::PATH);
                What::anonymous(&format!("{what}:{name}"))
            }
            None => What::anonymous(what),
        };
        self.put(place, fd, what, false);
    }

    pub(super) fn close(&mut self, place: u32, view: &View<'_>) {
        if let (Some(0..), Some(fd), Some((_, process))) =
            (view.i64(0), view.i64(1), self.state.both(place))
        {
            process.descriptors.remove(fd);
        }
    }

    pub(super) fn close_range(&mut self, place: u32, view: &View<'_>) {
        let (Some(0..), Some(first), Some(last)) = (view.i64(0), view.u32(1), view.u32(2)) else {
            return;
        };
        let later = view.u32(3).unwrap_or_default() & RANGE_CLOSE_ON_EXEC != 0;
        if let Some((_, process)) = self.state.both(place) {
            let range = i64::from(first)..=i64::from(last);
            process.descriptors.retain(|fd, known| {
                let within = range.contains(&fd);
                known.close_on_exec |= within && later;
                !within || later
            });
        }
    }

    /// `old` is also called `new` from here on.
    fn double(&mut self, place: u32, old: i64, new: i64, close_on_exec: bool) {
        let Some((_, process)) = self.state.both(place) else {
            return;
        };
        match process.descriptors.get(old).cloned() {
            Some(known) => {
                let new_one = Descriptor {
                    close_on_exec: close_on_exec || (old == new && known.close_on_exec),
                    ..known
                };
                process.descriptors.insert(new, new_one);
            }
            None => process.descriptors.remove(new),
        }
    }

    pub(super) fn dup(&mut self, place: u32, view: &View<'_>, [old, flags]: [Index; 2]) {
        if let (Some(new @ 0..), Some(old)) = (view.i64(0), view.i64(old)) {
            let flags = view.u32(flags).unwrap_or_default();
            self.double(place, old, new, flags & CLOSE_ON_EXEC != 0);
        }
    }

    pub(super) fn fcntl(&mut self, place: u32, view: &View<'_>) {
        let (Some(result @ 0..), Some(fd), Some(command)) =
            (view.i64(0), view.i64(1), view.small(2))
        else {
            return;
        };
        match command {
            DUPLICATE => self.double(place, fd, result, false),
            DUPLICATE_CLOSE_ON_EXEC => self.double(place, fd, result, true),
            SET_FLAGS => {
                if let (Some(flags), Some((_, process))) = (view.i64(3), self.state.both(place))
                    && let Some(known) = process.descriptors.get(fd)
                {
                    known.close_on_exec = flags & 1 != 0;
                }
            }
            _ => {}
        }
    }

    /// A descriptor of another process, named by one of its own, was taken over.
    pub(super) fn take_descriptor(&mut self, place: u32, view: &View<'_>) {
        if let Some(fd) = view.i64(0).filter(|fd| *fd >= 0) {
            self.put(place, fd, What::Unknown, true);
        }
    }

    pub(super) fn pipe(&mut self, place: u32, view: &View<'_>, flags: Index) {
        let (Some(0..), Some(read), Some(write)) = (view.i64(0), view.i64(1), view.i64(2)) else {
            return;
        };
        let close_on_exec = view.u32(flags).unwrap_or_default() & CLOSE_ON_EXEC != 0;
        for fd in [read, write] {
            self.put(place, fd, What::pipe(), close_on_exec);
        }
    }
}
