//! Handles of what a container's descriptors stand for, by how sysdig writes them: so that a
//! path that is read a million times is made out once.

use std::collections::HashMap;

use bubble_common::segment::network::Role;

use super::descriptor::{Descriptor, Thing};
use crate::sink::{ConnectionHandle, ContainerHandle, FileHandle, HANDLE_SECONDS, Sink};

/// Most things of one container that are known at one time; beyond, all are asked for again.
const MOST: usize = 16_384;
/// Seconds after which a handle is asked for again: sooner than the sink forgets it.
const FRESH: u64 = HANDLE_SECONDS / 2;

/// What something is to the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handle {
    /// A file.
    File(FileHandle),
    /// A connection.
    Connection(ConnectionHandle),
}

/// The things of one container.
#[derive(Debug, Default)]
pub(super) struct Things {
    known: HashMap<Box<[u8]>, Entry>,
    key: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    handle: Handle,
    asked: u64,
}

impl Things {
    /// The handle of what a descriptor stands for, in the second `now`.
    pub(super) fn handle<S: Sink>(
        &mut self,
        now: u64,
        container: ContainerHandle,
        descriptor: &Descriptor<'_>,
        role: Role,
        sink: &mut S,
    ) -> Handle {
        self.key.clear();
        self.key.push(role as u8);
        self.key.extend_from_slice(descriptor.kind);
        self.key.push(b'>');
        self.key.extend_from_slice(descriptor.name);
        let known = self.known.get_mut(&self.key[..]);
        if let Some(entry) = &known
            && entry.asked + FRESH > now
        {
            return entry.handle;
        }
        let handle = match descriptor.thing(role) {
            Thing::File(file) => Handle::File(sink.file(container, &file)),
            Thing::Connection(connection) => {
                Handle::Connection(sink.connection(container, &connection))
            }
        };
        let entry = Entry { handle, asked: now };
        match known {
            Some(known) => *known = entry,
            None => {
                if self.known.len() >= MOST {
                    self.known.clear();
                }
                self.known.insert(self.key.as_slice().into(), entry);
            }
        }
        handle
    }

    /// Forgets what has not been asked for lately.
    pub(super) fn sweep(&mut self, now: u64) {
        self.known.retain(|_, entry| entry.asked + FRESH > now);
        if self.known.len() < self.known.capacity() / 8 {
            self.known.shrink_to_fit();
        }
    }
}
