//! Numbers for things, given again only in a way that shows.
//!
//! A handle is an index and a generation: one that was kept too long names
//! nothing, instead of what has taken its place.

/// Bits of a handle that are the index; the rest is the generation.
const INDEX_BITS: u32 = 22;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const GENERATIONS: u32 = 1 << (32 - INDEX_BITS);

/// The handle that never names anything: given when there is no more room.
pub(crate) const NOTHING: u32 = u32::MAX;

/// Things by handle.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    thing: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Puts `thing` in and gives its handle; [`NOTHING`], and `thing` is dropped, when all are in use.
    pub(crate) fn insert(&mut self, thing: T) -> u32 {
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            place.thing = Some(thing);
            return place.generation << INDEX_BITS | index;
        }
        let index = self.places.len() as u32;
        // The last index is never given, so that no handle is NOTHING.
        if index >= INDEX_MASK {
            return NOTHING;
        }
        self.places.push(Place {
            generation: 0,
            thing: Some(thing),
        });
        index
    }

    pub(crate) fn get(&self, handle: u32) -> Option<&T> {
        let place = self.places.get((handle & INDEX_MASK) as usize)?;
        if place.generation != handle >> INDEX_BITS {
            return None;
        }
        place.thing.as_ref()
    }

    pub(crate) fn get_mut(&mut self, handle: u32) -> Option<&mut T> {
        let place = self.places.get_mut((handle & INDEX_MASK) as usize)?;
        if place.generation != handle >> INDEX_BITS {
            return None;
        }
        place.thing.as_mut()
    }

    pub(crate) fn remove(&mut self, handle: u32) -> Option<T> {
        self.get(handle)?;
        let index = handle & INDEX_MASK;
        let place = self.places.get_mut(index as usize)?;
        place.generation = (place.generation + 1) % GENERATIONS;
        self.free.push(index);
        place.thing.take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| place.thing.as_ref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let places = self.places.iter_mut();
        places.filter_map(|place| place.thing.as_mut())
    }

    /// Takes all things out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        let handles: Vec<u32> = self.handles().collect();
        handles.into_iter().filter_map(|handle| self.remove(handle))
    }

    /// The handles of all things that are in.
    pub(crate) fn handles(&self) -> impl Iterator<Item = u32> {
        self.places
            .iter()
            .enumerate()
            .filter(|(_, place)| place.thing.is_some())
            .map(|(index, place)| place.generation << INDEX_BITS | index as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::{NOTHING, Slab};

    #[test]
    fn an_old_handle_names_nothing() {
        let mut slab = Slab::new();
        let old = slab.insert("old");
        assert_eq!(slab.get(old), Some(&"old"));
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_ne!(old, new);
        assert!(slab.get(old).is_none() && slab.get_mut(old).is_none());
        assert!(slab.remove(old).is_none());
        assert_eq!(slab.get(new), Some(&"new"));
        assert_eq!(
            (slab.len(), slab.handles().collect::<Vec<_>>()),
            (1, vec![new])
        );
        assert_eq!(slab.get(NOTHING), None);
    }
}
