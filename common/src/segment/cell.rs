//! A cell: the values of one row of a table in one slot.
//!
//! All tables of a segment have this one shape, so merging, folding and
//! encoding are each written once. Only the [`Value`] differs.

/// The values of one row in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell<V> {
    /// The row.
    pub row: Row,
    /// The slot of the segment.
    pub slot: u32,
    /// The numbers.
    pub value: V,
}

/// A row of a table: two indices into dictionaries or two numbers, depending on the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub u32, pub u32);

/// Numbers that are measured together, and how two such groups merge.
pub trait Value: Copy + Default + PartialEq {
    /// Number of columns.
    const COLUMNS: usize;

    /// Number of columns in version 1 of the format, which does not say it.
    const COLUMNS_OF_VERSION_1: usize = Self::COLUMNS;

    /// Columns whose numbers are mostly multiples of another column's in the same cell, as bytes are of
    /// operations: (column, other column). A column that others are multiples of comes first.
    const MULTIPLES: &'static [(usize, usize)] = &[];

    /// The number in column `index`, which is below [`Self::COLUMNS`].
    fn get(&self, index: usize) -> u64;

    /// Sets the number in column `index`, which is below [`Self::COLUMNS`]. The columns before it are set.
    fn set(&mut self, index: usize, number: u64);

    /// Merges `other` into this value. Associative and commutative; sums saturate.
    /// Both belong to `row`, on which the rule may depend (see [`super::total`]).
    fn absorb(&mut self, row: Row, other: &Self);
}

impl<V> Cell<V> {
    /// Order of cells within a table.
    pub fn position(&self) -> (Row, u32) {
        (self.row, self.slot)
    }
}

/// Makes `cells` canonical: sorts them by (row, slot) and merges those of the same position.
pub fn normalise<V: Value>(cells: &mut Vec<Cell<V>>) {
    cells.sort_by_key(Cell::position);
    cells.dedup_by(|next, first| {
        let same = next.position() == first.position();
        if same {
            first.value.absorb(first.row, &next.value);
        }
        same
    });
}

/// Which of a dictionary's `count` entries the second index of a cell names, as a mask.
pub(super) fn named<V>(count: usize, cells: &[Cell<V>]) -> Vec<bool> {
    let mut named = vec![false; count];
    for cell in cells {
        named[cell.row.1 as usize] = true;
    }
    named
}

/// Implements [`Value`] for a struct of `u64` fields, each with its rule: `add` or `max`. Fields that
/// version 1 of the format does not have come last. Pairs in brackets are its [`Value::MULTIPLES`].
macro_rules! value {
    (
        $name:ident { $($first:ident: $first_rule:ident),+ $(,)? } $([$($pair:expr),+])?
    ) => {
        $crate::segment::cell::value!($name {
            $($first: $first_rule),+; since version 2:
        } $([$($pair),+])?);
    };
    (
        $name:ident {
            $($first:ident: $first_rule:ident),+;
            since version 2: $($second:ident: $second_rule:ident),*
        } $([$($pair:expr),+])?
    ) => {
        $crate::segment::cell::value!(
            @all $name, [$(stringify!($first)),+].len(),
            [$($first: $first_rule,)+ $($second: $second_rule,)*] $([$($pair),+])?
        );
    };
    (
        @all $name:ident, $of_version_1:expr,
        [$($field:ident: $rule:ident,)+] $([$($pair:expr),+])?
    ) => {
        impl $crate::segment::cell::Value for $name {
            const COLUMNS: usize = [$(stringify!($field)),+].len();
            const COLUMNS_OF_VERSION_1: usize = $of_version_1;
            $(const MULTIPLES: &'static [(usize, usize)] = &[$($pair),+];)?

            fn get(&self, index: usize) -> u64 {
                [$(self.$field),+][index]
            }

            #[inline]
            fn set(&mut self, index: usize, number: u64) {
                // An array of references to the fields would be slower; the decoder calls this for each number.
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

/// The rule for counts: they add up.
pub(crate) fn add(number: &mut u64, other: u64) {
    *number = number.saturating_add(other);
}

/// The rule for measurements: the highest counts.
pub(crate) fn max(number: &mut u64, other: u64) {
    *number = (*number).max(other);
}
