//! A cell: the values of one row of a table in one slot.
//!
//! All tables of a segment have this one shape, so that merging, folding and
//! coding are each written once. What differs is the [`Value`].

/// The values of one row in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<V> {
    /// Which row: two indices whose meaning the table gives.
    pub row: Row,
    /// Which slot of the segment.
    pub slot: u32,
    /// What was measured.
    pub value: V,
}

/// A row of a table: indices into dictionaries, or numbers, by the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub u32, pub u32);

/// A group of whole numbers that are measured together, and the rule by which two of them become one.
pub trait Value: Copy + Default + PartialEq {
    /// How many numbers it has.
    const COLUMNS: usize;

    /// The number in column `index`, which is below [`Self::COLUMNS`].
    fn get(&self, index: usize) -> u64;

    /// Sets the number in column `index`, which is below [`Self::COLUMNS`].
    fn set(&mut self, index: usize, number: u64);

    /// Takes `other` in: associative and commutative; sums saturate. `row` is
    /// the row both belong to (the rule may depend on it: totals).
    fn absorb(&mut self, row: Row, other: &Self);
}

impl<V> Cell<V> {
    /// Order of cells within a table.
    pub fn position(&self) -> (Row, u32) {
        (self.row, self.slot)
    }
}

/// Makes `cells` canonical: sorted by (row, slot), cells of the same place made one.
pub fn normalise<V: Value>(cells: &mut Vec<Cell<V>>) {
    cells.sort_by_key(Cell::position);
    cells.dedup_by(|next, kept| {
        let same = next.position() == kept.position();
        if same {
            kept.value.absorb(kept.row, &next.value);
        }
        same
    });
}

/// Implements [`Value`] for a struct whose fields are all `u64`, each with its rule: `add` or `max`.
macro_rules! value {
    ($name:ident { $($field:ident: $rule:ident),+ $(,)? }) => {
        impl $crate::segment::cell::Value for $name {
            const COLUMNS: usize = [$(stringify!($field)),+].len();

            fn get(&self, index: usize) -> u64 {
                [$(self.$field),+][index]
            }

            #[inline]
            fn set(&mut self, index: usize, number: u64) {
                // No array of references to the fields: this is done for each number decoded.
                let mut column = 0..;
                $(if column.next() == Some(index) {
                    self.$field = number;
                    return;
                })+
            }

            fn absorb(&mut self, _: $crate::segment::cell::Row, other: &Self) {
                $($crate::segment::cell::$rule(&mut self.$field, other.$field);)+
            }
        }
    };
}
pub(crate) use value;

/// The rule of what is counted: it adds up.
pub(crate) fn add(kept: &mut u64, other: u64) {
    *kept = kept.saturating_add(other);
}

/// The rule of what is measured: the highest counts.
pub(crate) fn max(kept: &mut u64, other: u64) {
    *kept = (*kept).max(other);
}
