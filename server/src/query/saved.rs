//! What a saved file has: the answers that the page asks for, about one container and range.

use std::io;
use std::sync::Arc;

use bubble_common::segment::{ContainerId, Segment};
use serde::Serialize;
use serde_json::{Map, Value};

use super::bound::Bound;
use super::error::QueryError;
use super::item::ContainerItem;
use super::ledger::{Ledger, Scope};
use super::life::Life;
use super::range::Plan;
use super::summary::Summary;
use super::{Ask, Query};
use crate::clock;
use crate::memory::MemoryError;
use crate::span::extent::Extent;

/// Version of the format. The page in the same file reads it.
const VERSION: u32 = 1;
/// Bytes of answers in a file, at most. They are compressed in it.
pub const MAX_BYTES: usize = 16 << 20;
/// Rows of a table of the whole range.
const MAX_ROWS: usize = 2_000;
/// Rows of a table of one moment: as many as the page asks for.
const MAX_MOMENT_ROWS: usize = 500;
/// Moments in a file, at most: the work for each grows with the range.
const MAX_MOMENTS: usize = 600;

/// Memory of a value per byte of its JSON, at most: a word of one letter takes four bytes there.
const VALUE_PER_BYTE: usize = 16;

/// The answers in a file.
#[derive(Debug, Serialize)]
pub struct Saved {
    version: u32,
    /// When they were made, seconds since the Unix epoch.
    made: f64,
    /// Start and end of the range.
    range: (f64, f64),
    container: ContainerItem,
    life: Life,
    summary: Value,
    /// By slot: what the summary at that moment has instead. Empty if there are none.
    moments: Vec<Value>,
    /// Why there are none.
    note: Option<String>,
}

/// Why there is nothing to save.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The answers cannot be made.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// They are too large.
    #[error(
        "this range has {} MiB, and a file at most {}: save a shorter range, or longer slots (step)",
        .0 >> 20, MAX_BYTES >> 20
    )]
    TooLarge(usize),
}

/// A summary, and its moments.
type Answers = (Value, Result<Vec<Value>, String>);

impl Query {
    /// The answers for a file, as JSON: all of the range of `ask`, and nothing of other times.
    ///
    /// # Errors
    /// When there is no such container, the answers are too large, or the store fails.
    pub async fn saved(&self, id: &ContainerId, ask: &Ask) -> Result<Vec<u8>, SaveError> {
        let container = self.container(id).await?;
        let whole = self.plan(&container, ask);
        let range = whole.allowed(whole.span.clone());
        let (from, to) = (range.start as f64, range.end as f64);
        let extent = Extent::Span(range);
        let ask = Ask {
            from: Some(from),
            to: Some(to),
            step: Some(whole.step),
            extent: Some(extent.clone()),
            ..ask.clone()
        };
        let plan = self.plan(&container, &ask);
        let item = ContainerItem::new(&container, clock::now()).within(Some(&extent));
        // Before the others: nobody waits for memory while holding some.
        let life = self.life(id, Some(&extent)).await?;
        let ((summary, moments), _held) = {
            let item = item.clone();
            let make = move |plan: &Plan, segments: &[Arc<Segment>], bound: &Bound| {
                answers(&item, plan, segments, bound)
            };
            self.answer_within(id, plan, make).await?
        };
        let (moments, note) = match moments {
            Ok(moments) => (moments, None),
            Err(note) => (Vec::new(), Some(note)),
        };
        let saved = Saved {
            version: VERSION,
            made: clock::now_ns() as f64 / 1e9,
            range: (from, to),
            container: item,
            life,
            summary,
            moments,
            note,
        };
        let json = tokio::task::spawn_blocking(move || serde_json::to_vec(&saved)).await;
        let json = json.map_err(|_| QueryError::Panicked)?;
        let json = json.map_err(|_| QueryError::Panicked)?;
        match json.len() {
            length if length > MAX_BYTES => Err(SaveError::TooLarge(length)),
            _ => Ok(json),
        }
    }
}

/// The summary of the range, and those of its slots as far as they differ.
fn answers(
    item: &ContainerItem,
    plan: &Plan,
    segments: &[Arc<Segment>],
    bound: &Bound,
) -> Result<Answers, QueryError> {
    let summary = |scope: &Scope, top| -> Result<Value, MemoryError> {
        let ledger = Ledger::new(plan, segments, scope);
        let summary = Summary::new(item.clone(), plan, &ledger, top, None, bound)?;
        bound.take(length(&summary).saturating_mul(VALUE_PER_BYTE))?;
        // Summaries have no maps with keys that JSON cannot write.
        Ok(serde_json::to_value(summary).unwrap_or_default())
    };
    let base = summary(&Scope::default(), MAX_ROWS)?;
    let slots = plan.slots();
    if slots > MAX_MOMENTS {
        let note =
            format!("the range has {slots} slots, and a file has moments up to {MAX_MOMENTS}");
        return Ok((base, Err(note)));
    }
    let moments = moments(&base, plan, bound, |scope| summary(scope, MAX_MOMENT_ROWS));
    Ok(match moments {
        Ok(Some(moments)) => (base, Ok(moments)),
        Ok(None) => {
            let note = "the rows of its moments are too many for a file";
            (base, Err(note.to_owned()))
        }
        Err(error) if bound.can_grow() => return Err(error.into()),
        Err(_) => {
            let note = "its moments need more memory than a query may use: save a shorter range, \
                longer slots (step), or raise --memory-limit";
            (base, Err(note.to_owned()))
        }
    })
}

/// What the summary of each slot has instead of `base`. `None`: it is too much for a file.
fn moments(
    base: &Value,
    plan: &Plan,
    bound: &Bound,
    summary: impl Fn(&Scope) -> Result<Value, MemoryError>,
) -> Result<Option<Vec<Value>>, MemoryError> {
    let mut left = MAX_BYTES.saturating_sub(length(base));
    let mut moments = Vec::with_capacity(plan.slots());
    for slot in 0..plan.slots() as u64 {
        let start = plan.span.start + slot * plan.step;
        let scope = Scope {
            process: None,
            window: Some(start..start + plan.step),
        };
        let before = bound.left();
        let moment = difference(base, summary(&scope)?);
        // Only the difference stays.
        bound.give_back(before - bound.left());
        bound.take(length(&moment).saturating_mul(VALUE_PER_BYTE))?;
        match left.checked_sub(length(&moment)) {
            Some(rest) => left = rest,
            None => return Ok(None),
        }
        moments.push(moment);
    }
    Ok(Some(moments))
}

/// Bytes of a value as JSON.
fn length(value: &impl Serialize) -> usize {
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

/// The members of `value` that are others than those of `base`, of objects within it likewise.
fn difference(base: &Value, value: Value) -> Value {
    let (Value::Object(base), Value::Object(members)) = (base, value) else {
        return Value::Null;
    };
    let differing = members.into_iter().filter_map(|(name, member)| {
        let of_base = base.get(&name)?;
        match (of_base, &member) {
            (of_base, member) if of_base == member => None,
            (Value::Object(_), Value::Object(_)) => Some((name, difference(of_base, member))),
            _ => Some((name, member)),
        }
    });
    Value::Object(differing.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference;

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
