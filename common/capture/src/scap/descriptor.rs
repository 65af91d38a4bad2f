//! Descriptors: the resource of each number of a process.
//!
//! Processes share a resource until one of them changes it: a fork copies hundreds of
//! descriptors, and the child mostly uses three.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bubble_common::segment::file::{File, FileKind};
use bubble_common::segment::network::{Address, Connection, Protocol, Role};

use super::ids::Ids;
use crate::recording::io::{CachedHandle, Resource};

/// `O_CLOEXEC` in the numbering of captures (`PPM_O_CLOEXEC`).
pub(super) const CLOSE_ON_EXEC: u32 = 1 << 12;
/// `O_DIRECTORY`, likewise.
pub(super) const DIRECTORY: u32 = 1 << 10;
/// Numbers below this index a vector, those above a hash map.
const LOW_NUMBERS: usize = 1_024;
/// Most descriptors of all processes together. Forks copy them, so a capture made for it could
/// ask for any number.
const MAX_DESCRIPTORS: usize = 262_144;

/// The number of descriptors in all tables of a capture.
#[derive(Debug, Clone, Default)]
pub(super) struct Count(Arc<AtomicUsize>);

impl Count {
    /// Takes `more` into the count, unless that were too many.
    fn take(&self, more: usize) -> bool {
        let before = self.0.fetch_add(more, Ordering::Relaxed);
        let fits = before.saturating_add(more) <= MAX_DESCRIPTORS;
        if !fits {
            self.give(more);
        }
        fits
    }

    fn give(&self, count: usize) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }
}

/// A descriptor.
#[derive(Debug, Clone)]
pub(super) struct Descriptor {
    pub(super) resource: Arc<Resource>,
    pub(super) close_on_exec: bool,
    /// A socket of IPv6 in a list: old writers call those of UDP TCP.
    pub(super) maybe_udp: bool,
    /// The sink's handle, and the key of the container that it belongs to.
    pub(super) handle: Option<(u32, CachedHandle)>,
}

/// The descriptors of a process.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
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

/// An inode without a path: an eventfd, …
pub(super) fn anonymous(kind: &str) -> Resource {
    Resource::File(File {
        path: kind.to_owned(),
        kind: FileKind::Anonymous,
    })
}

/// A pipe without a path.
pub(super) fn pipe() -> Resource {
    Resource::File(File {
        path: "pipe".to_owned(),
        kind: FileKind::Pipe,
    })
}

/// A socket that nothing but the protocol is known of.
pub(super) fn socket(protocol: Protocol) -> Connection {
    Connection {
        protocol,
        role: Role::Unknown,
        local: Address::None,
        peer: Address::None,
    }
}

impl Descriptor {
    pub(super) fn new(resource: Resource) -> Self {
        Self {
            resource: Arc::new(resource),
            close_on_exec: false,
            maybe_udp: false,
            handle: None,
        }
    }

    /// Its resource, to be changed for this descriptor alone.
    pub(super) fn change(&mut self) -> &mut Resource {
        self.handle = None;
        Arc::make_mut(&mut self.resource)
    }
}

impl Descriptors {
    #[inline]
    pub(super) fn get(&mut self, fd: i64) -> Option<&mut Descriptor> {
        match usize::try_from(fd) {
            Ok(index) if index < LOW_NUMBERS => self.low.get_mut(index)?.as_mut(),
            _ => self.high.get_mut(&fd),
        }
    }

    /// An empty table, counted with the others of a capture.
    pub(super) fn new(count: &Count) -> Self {
        Self {
            low: Vec::new(),
            high: HashMap::default(),
            len: 0,
            count: count.clone(),
        }
    }

    /// A copy for a fork; empty, if that were too many.
    pub(super) fn fork(&self) -> Self {
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

    /// Inserts one; if there are too many it is left out, and so stays unknown.
    pub(super) fn insert(&mut self, fd: i64, descriptor: Descriptor) {
        let Ok(index) = usize::try_from(fd) else {
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
        if index >= LOW_NUMBERS {
            self.high.insert(fd, descriptor);
            return;
        }
        if self.low.len() <= index {
            self.low.resize_with(index + 1, || None);
        }
        self.low[index] = Some(descriptor);
    }

    pub(super) fn remove(&mut self, fd: i64) {
        let known = match usize::try_from(fd) {
            Ok(index) if index < LOW_NUMBERS => self.low.get_mut(index).and_then(Option::take),
            _ => self.high.remove(&fd),
        };
        if known.is_some() {
            self.len -= 1;
            self.count.give(1);
        }
    }

    /// All, with their numbers.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (i64, &mut Descriptor)> {
        let low = (0i64..).zip(&mut self.low);
        let low = low.filter_map(|(fd, known)| Some((fd, known.as_mut()?)));
        low.chain(self.high.iter_mut().map(|(fd, known)| (*fd, known)))
    }

    /// Removes those for which `keep` returns false.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(i64, &mut Descriptor) -> bool) {
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
    use super::{Count, Descriptor, Descriptors, LOW_NUMBERS, MAX_DESCRIPTORS, pipe};
    use crate::recording::io::Resource;

    #[test]
    fn a_fork_has_its_own_and_all_are_counted() {
        let count = Count::default();
        let mut parent = Descriptors::new(&count);
        let high = LOW_NUMBERS as i64 + 7;
        parent.insert(3, Descriptor::new(pipe()));
        parent.insert(high, Descriptor::new(pipe()));
        parent.insert(-1, Descriptor::new(pipe()));
        let mut child = parent.fork();
        parent.remove(3);
        *child.get(high).unwrap().change() = Resource::Unknown;
        assert!(parent.get(3).is_none() && child.get(3).is_some());
        assert_eq!(*parent.get(high).unwrap().resource, pipe());
        assert!(count.take(MAX_DESCRIPTORS - 3));
        assert!(!count.take(1), "one of the parent's and two of the child's");
        child.retain(|fd, _| fd == 3);
        drop(parent);
        assert!(count.take(2) && !count.take(1));
    }

    #[test]
    fn too_many_are_left_out() {
        let count = Count::default();
        let mut table = Descriptors::new(&count);
        table.insert(0, Descriptor::new(pipe()));
        assert!(count.take(MAX_DESCRIPTORS - 1));
        table.insert(1, Descriptor::new(pipe()));
        assert!(table.get(1).is_none());
        assert!(table.fork().get(0).is_none());
        table.insert(0, Descriptor::new(Resource::Unknown));
        assert_eq!(*table.get(0).unwrap().resource, Resource::Unknown);
    }
}
