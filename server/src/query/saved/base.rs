//! The summary of the range, and what the others in a file have instead of it.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::memory::MemoryError;
use crate::query::bound::Bound;
use crate::query::item::ContainerItem;
use crate::query::ledger::Ledger;
use crate::query::range::Plan;
use crate::query::summary::Summary;

/// Rows of a table of the whole range.
const MAX_ROWS: usize = 2_000;
/// Memory of a value per byte of its JSON, at most: a word of one letter takes four bytes there.
pub(super) const VALUE_PER_BYTE: usize = 16;

/// The summary of the range, which the other answers are compared with.
pub(super) struct Base {
    item: ContainerItem,
    pub(super) summary: Summary,
    pub(super) value: Value,
}

impl Base {
    pub(super) fn new(
        item: &ContainerItem,
        plan: &Plan,
        ledger: &Ledger<'_>,
        bound: &Bound,
    ) -> Result<Self, MemoryError> {
        let summary = Summary::new(item.clone(), plan, ledger, MAX_ROWS, None, bound)?;
        bound.take(length(&summary).saturating_mul(VALUE_PER_BYTE))?;
        Ok(Self {
            item: item.clone(),
            value: value(&summary),
            summary,
        })
    }

    /// The summary of a part of the range, with `top` rows per table at most.
    pub(super) fn value_of(
        &self,
        plan: &Plan,
        ledger: &Ledger<'_>,
        top: usize,
        bound: &Bound,
    ) -> Result<Value, MemoryError> {
        let summary = Summary::new(self.item.clone(), plan, ledger, top, None, bound)?;
        bound.take(length(&summary).saturating_mul(VALUE_PER_BYTE))?;
        Ok(value(&summary))
    }
}

/// Summaries have no maps with keys that JSON cannot write.
fn value(summary: &Summary) -> Value {
    serde_json::to_value(summary).unwrap_or_default()
}

/// Bytes of a value as JSON.
pub(super) fn length(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => 0,
    }
}

/// Counts bytes.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Name of the list of members that `value` lacks, in a difference.
const LACKS: &str = "";

/// The members of `value` that are others than those of `base`, of objects within it likewise. The names of
/// those that only `base` has are in the member [`LACKS`].
pub(super) fn difference(base: &Value, value: Value) -> Value {
    let (Value::Object(base), Value::Object(members)) = (base, value) else {
        return Value::Null;
    };
    let lacking = base.keys().filter(|name| !members.contains_key(*name));
    let lacking: Vec<Value> = lacking.map(|name| name.clone().into()).collect();
    let differing = members
        .into_iter()
        .filter_map(|(name, member)| match base.get(&name) {
            Some(of_base) if *of_base == member => None,
            Some(of_base @ Value::Object(_)) if member.is_object() => {
                Some((name, difference(of_base, member)))
            }
            _ => Some((name, member)),
        });
    let mut differing: Map<_, _> = differing.collect();
    if !lacking.is_empty() {
        differing.insert(LACKS.to_owned(), lacking.into());
    }
    Value::Object(differing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference;

    #[test]
    fn a_difference_names_the_members_that_only_the_base_has() {
        let base = json!({"counts": {"start": 1, "end": 1}, "totals": {"user": 5}});
        let value = json!({"counts": {"end": 1, "kill": 2}, "totals": {}});
        let expected = json!({"counts": {"kill": 2, "": ["start"]}, "totals": {"": ["user"]}});
        assert_eq!(difference(&base, value), expected);
    }

    #[test]
    fn a_difference_has_what_is_not_in_the_base() {
        let base =
            json!({"a": 1, "rows": [1, 2], "panel": {"in": [1, 2], "rows": [1]}, "same": {"x": 1}});
        let value =
            json!({"a": 1, "rows": [2], "panel": {"in": [1, 2], "rows": []}, "same": {"x": 1}});
        let expected = json!({"rows": [2], "panel": {"rows": []}});
        assert_eq!(difference(&base, value), expected);
    }
}
