//! Descriptors: what each number of a process stands for.
//!
//! What it stands for is shared between processes until one of them changes it, as a
//! fork copies hundreds of them, of which the child mostly uses three.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bubble_common::segment::file::{File, FileKind};
use bubble_common::segment::network::{Address, Connection, Protocol, Role};

use super::ids::Ids;

/// The flag of opening that says so, in the numbering of captures.
pub(in super::super) const CLOSE_ON_EXEC: u32 = 1 << 12;
/// The flag of opening a directory, likewise.
pub(in super::super) const DIRECTORY: u32 = 1 << 10;
/// Numbers below this are looked up by place, those above by hash.
const LOW: usize = 1_024;
/// Most descriptors of all processes together: forks copy them, and so a capture that is
/// made for it could ask for any number.
const MOST: usize = 262_144;

/// How many descriptors there are in all tables of a capture.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Count(Arc<AtomicUsize>);

impl Count {
    /// Takes room for `more`, if there is.
    fn take(&self, more: usize) -> bool {
        let before = self.0.fetch_add(more, Ordering::Relaxed);
        let room = before.saturating_add(more) <= MOST;
        if !room {
            self.give(more);
        }
        room
    }

    fn give(&self, count: usize) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }
}

/// What a descriptor stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum What {
    /// Not known.
    Unknown,
    /// A file, a pipe, or something without a name.
    File(File),
    /// A socket; addresses are those that are known so far.
    Socket(Connection),
}

/// A descriptor.
#[derive(Debug, Clone)]
pub(in super::super) struct Descriptor {
    pub(in super::super) what: Arc<What>,
    pub(in super::super) close_on_exec: bool,
    /// What was asked of the sink for it.
    pub(in super::super) asked: Asked,
}

/// A handle of the sink, the container for which it was asked, and the second in which it
/// was last used: it is good for a limited time.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Asked {
    /// The container's place, and one more; 0 when nothing was asked.
    pub(in super::super) container: u32,
    pub(in super::super) handle: u32,
    pub(in super::super) second: u64,
}

/// The descriptors of a process.
#[derive(Debug, Default)]
pub(in super::super) struct Descriptors {
    low: Vec<Option<Descriptor>>,
    high: HashMap<i64, Descriptor, Ids>,
    len: usize,
    count: Count,
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        self.count.give(self.len);
    }
}

impl What {
    /// Something without a name: an eventfd, …
    pub(in super::super) fn anonymous(what: &str) -> Self {
        Self::File(File {
            path: what.to_owned(),
            kind: FileKind::Anonymous,
        })
    }

    /// A pipe that was made.
    pub(in super::super) fn pipe() -> Self {
        Self::File(File {
            path: "pipe".to_owned(),
            kind: FileKind::Pipe,
        })
    }

    /// A socket of which only the protocol is known.
    pub(in super::super) fn socket(protocol: Protocol) -> Self {
        Self::Socket(Connection {
            protocol,
            role: Role::Unknown,
            local: Address::None,
            peer: Address::None,
        })
    }
}

impl Descriptor {
    pub(in super::super) fn new(what: What) -> Self {
        Self {
            what: Arc::new(what),
            close_on_exec: false,
            asked: Asked::default(),
        }
    }

    /// What it stands for, to be changed: for this descriptor alone.
    pub(in super::super) fn change(&mut self) -> &mut What {
        self.asked = Asked::default();
        Arc::make_mut(&mut self.what)
    }
}

impl Descriptors {
    #[inline]
    pub(in super::super) fn get(&mut self, fd: i64) -> Option<&mut Descriptor> {
        match usize::try_from(fd) {
            Ok(place) if place < LOW => self.low.get_mut(place)?.as_mut(),
            _ => self.high.get_mut(&fd),
        }
    }

    /// No descriptors, counted with the others of a capture.
    pub(in super::super) fn new(count: &Count) -> Self {
        Self {
            low: Vec::new(),
            high: HashMap::default(),
            len: 0,
            count: count.clone(),
        }
    }

    /// What a fork has: all of them; none, if that were too many.
    pub(in super::super) fn fork(&self) -> Self {
        if !self.count.take(self.len) {
            return Self::new(&self.count);
        }
        Self {
            low: self.low.clone(),
            high: self.high.clone(),
            len: self.len,
            count: self.count.clone(),
        }
    }

    /// Puts one in; if there are too many it is left out, and so stays unknown.
    pub(in super::super) fn insert(&mut self, fd: i64, descriptor: Descriptor) {
        let Ok(place) = usize::try_from(fd) else {
            return;
        };
        if let Some(known) = self.get(fd) {
            *known = descriptor;
            return;
        }
        if !self.count.take(1) {
            return;
        }
        self.len += 1;
        if place >= LOW {
            self.high.insert(fd, descriptor);
            return;
        }
        if self.low.len() <= place {
            self.low.resize_with(place + 1, || None);
        }
        self.low[place] = Some(descriptor);
    }

    pub(in super::super) fn remove(&mut self, fd: i64) {
        let known = match usize::try_from(fd) {
            Ok(place) if place < LOW => self.low.get_mut(place).and_then(Option::take),
            _ => self.high.remove(&fd),
        };
        if known.is_some() {
            self.len -= 1;
            self.count.give(1);
        }
    }

    /// All, with their numbers.
    pub(in super::super) fn all(&mut self) -> impl Iterator<Item = (i64, &mut Descriptor)> {
        let low = (0i64..).zip(&mut self.low);
        let low = low.filter_map(|(fd, known)| Some((fd, known.as_mut()?)));
        low.chain(self.high.iter_mut().map(|(fd, known)| (*fd, known)))
    }

    /// Lets go of those for which `keep` is false.
    pub(in super::super) fn retain(&mut self, mut keep: impl FnMut(i64, &mut Descriptor) -> bool) {
        let mut gone = Vec::new();
        for (fd, known) in self.all() {
            if !keep(fd, known) {
                gone.push(fd);
            }
        }
        gone.into_iter().for_each(|fd| self.remove(fd));
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Descriptor, Descriptors, LOW, MOST, What};

    #[test]
    fn a_fork_has_its_own_and_all_are_counted() {
        let count = Count::default();
        let mut parent = Descriptors::new(&count);
        let high = LOW as i64 + 7;
        parent.insert(3, Descriptor::new(What::pipe()));
        parent.insert(high, Descriptor::new(What::pipe()));
        parent.insert(-1, Descriptor::new(What::pipe()));
        let mut child = parent.fork();
        parent.remove(3);
        *child.get(high).unwrap().change() = What::Unknown;
        assert!(parent.get(3).is_none() && child.get(3).is_some());
        assert_eq!(*parent.get(high).unwrap().what, What::pipe());
        assert!(count.take(MOST - 3));
        assert!(!count.take(1), "one of the parent's and two of the child's");
        child.retain(|fd, _| fd == 3);
        drop(parent);
        assert!(count.take(2) && !count.take(1));
    }

    #[test]
    fn too_many_are_left_out() {
        let count = Count::default();
        let mut table = Descriptors::new(&count);
        table.insert(0, Descriptor::new(What::pipe()));
        assert!(count.take(MOST - 1));
        table.insert(1, Descriptor::new(What::pipe()));
        assert!(table.get(1).is_none());
        assert!(table.fork().get(0).is_none());
        table.insert(0, Descriptor::new(What::Unknown));
        assert_eq!(*table.get(0).unwrap().what, What::Unknown);
    }
}
