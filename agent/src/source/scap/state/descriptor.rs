//! Descriptors: what each number of a process stands for.
//!
//! What it stands for is shared between processes until one of them changes it, as a
//! fork copies hundreds of them, of which the child mostly uses three.

use std::collections::HashMap;
use std::sync::Arc;

use bubble_common::segment::file::{File, FileKind};
use bubble_common::segment::network::{Address, Connection, Protocol, Role};

use super::ids::Ids;

/// The flag of opening that says so, in the numbering of captures.
pub(in super::super) const CLOSE_ON_EXEC: u32 = 1 << 12;
/// The flag of opening a directory, likewise.
pub(in super::super) const DIRECTORY: u32 = 1 << 10;
/// Numbers below this are looked up by place, those above by hash.
const LOW: usize = 1_024;
/// Most descriptors of one process.
const MOST: usize = 65_536;

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
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Descriptors {
    low: Vec<Option<Descriptor>>,
    high: HashMap<i64, Descriptor, Ids>,
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

    /// Puts one in; beyond the most that are kept it is left out, and so stays unknown.
    pub(in super::super) fn insert(&mut self, fd: i64, descriptor: Descriptor) {
        match usize::try_from(fd) {
            Ok(place) if place < LOW => {
                if self.low.len() <= place {
                    self.low.resize_with(place + 1, || None);
                }
                self.low[place] = Some(descriptor);
            }
            Ok(_) if self.high.len() < MOST => {
                self.high.insert(fd, descriptor);
            }
            _ => {}
        }
    }

    pub(in super::super) fn remove(&mut self, fd: i64) {
        match usize::try_from(fd) {
            Ok(place) if place < LOW => {
                if let Some(known) = self.low.get_mut(place) {
                    *known = None;
                }
            }
            _ => {
                self.high.remove(&fd);
            }
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
        for (fd, known) in (0i64..).zip(&mut self.low) {
            if known.as_mut().is_some_and(|known| !keep(fd, known)) {
                *known = None;
            }
        }
        self.high.retain(|fd, known| keep(*fd, known));
    }
}
