//! The sink's handles of the resources of a container, by how sysdig writes them: a path that
//! is read a million times is parsed once.

use std::collections::HashMap;

use bubble_common::segment::network::Role;

use super::descriptor::Descriptor;
use crate::recording::io::{CachedHandle, ResourceHandle};
use crate::sink::{ContainerHandle, Sink};

/// Most resources of one container in the cache; a full one is emptied.
const MAX_RESOURCES: usize = 16_384;

/// The handles of one container.
#[derive(Debug, Default)]
pub(super) struct Handles {
    cache: HashMap<Box<[u8]>, CachedHandle>,
    key: Vec<u8>,
}

impl Handles {
    /// The handle of a descriptor's resource, in the second `now`.
    pub(super) fn get<S: Sink>(
        &mut self,
        now: u64,
        container: ContainerHandle,
        descriptor: &Descriptor<'_>,
        role: Role,
        sink: &mut S,
    ) -> ResourceHandle {
        self.key.clear();
        self.key.push(role as u8);
        self.key.extend_from_slice(descriptor.kind);
        self.key.push(b'>');
        self.key.extend_from_slice(descriptor.name);
        let cached = self.cache.get_mut(&self.key[..]);
        if let Some(cached) = &cached
            && cached.is_fresh(now)
        {
            return cached.handle;
        }
        let handle = descriptor.resource(role).handle(container, sink);
        let new = CachedHandle {
            handle,
            second: now,
        };
        match cached {
            Some(cached) => *cached = new,
            None => {
                if self.cache.len() >= MAX_RESOURCES {
                    self.cache.clear();
                }
                self.cache.insert(self.key.as_slice().into(), new);
            }
        }
        handle
    }

    /// Forgets the handles that have to be asked for again.
    pub(super) fn expire(&mut self, now: u64) {
        self.cache.retain(|_, cached| cached.is_fresh(now));
        if self.cache.len() < self.cache.capacity() / 8 {
            self.cache.shrink_to_fit();
        }
    }
}
