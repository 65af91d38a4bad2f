//! A slab: values by handle.
//!
//! A handle is an index and a generation, so a stale handle names no value, even when its index
//! is in use again.

/// Bits of the index in a handle. The other bits are the generation.
const INDEX_BITS: u32 = 22;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const GENERATIONS: u32 = 1 << (32 - INDEX_BITS);

/// The handle that never names a value: returned when all indices are in use.
pub(crate) const NOTHING: u32 = u32::MAX;

/// Values by handle.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Inserts a value and returns its handle. Returns [`NOTHING`] and drops the value when all
    /// indices are in use.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return slot.generation << INDEX_BITS | index;
        }
        let index = self.slots.len() as u32;
        // The last index is never used, so that no handle equals NOTHING.
        if index >= INDEX_MASK {
            return NOTHING;
        }
        self.slots.push(Slot {
            generation: 0,
            value: Some(value),
        });
        index
    }

    pub(crate) fn get(&self, handle: u32) -> Option<&T> {
        let slot = self.slots.get((handle & INDEX_MASK) as usize)?;
        if slot.generation != handle >> INDEX_BITS {
            return None;
        }
        slot.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, handle: u32) -> Option<&mut T> {
        let slot = self.slots.get_mut((handle & INDEX_MASK) as usize)?;
        if slot.generation != handle >> INDEX_BITS {
            return None;
        }
        slot.value.as_mut()
    }

    pub(crate) fn remove(&mut self, handle: u32) -> Option<T> {
        self.get(handle)?;
        let index = handle & INDEX_MASK;
        let slot = self.slots.get_mut(index as usize)?;
        slot.generation = (slot.generation + 1) % GENERATIONS;
        self.free.push(index);
        slot.value.take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let slots = self.slots.iter_mut();
        slots.filter_map(|slot| slot.value.as_mut())
    }

    /// Removes all values.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        let handles: Vec<u32> = self.handles().collect();
        handles.into_iter().filter_map(|handle| self.remove(handle))
    }

    /// The handles of all values.
    pub(crate) fn handles(&self) -> impl Iterator<Item = u32> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.value.is_some())
            .map(|(index, slot)| slot.generation << INDEX_BITS | index as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::{NOTHING, Slab};

    #[test]
    fn a_stale_handle_names_no_value() {
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
