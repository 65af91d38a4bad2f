//! What a saved file has: the answers that the page asks for, about one container and range.

mod base;
mod details;

use std::sync::Arc;

use base::{Base, VALUE_PER_BYTE, difference, length};
use bubble_common::segment::{ContainerId, Segment};
use details::Details;
use serde::Serialize;
use serde_json::Value;

use super::bound::Bound;
use super::error::QueryError;
use super::item::ContainerItem;
use super::lanes::Lanes;
use super::ledger::{Ledger, Scope};
use super::life::Life;
use super::range::Plan;
use super::{Ask, Query};
use crate::clock;
use crate::memory::MemoryError;
use crate::span::extent::Extent;

/// Version of the format. The page in the same file reads it.
const VERSION: u32 = 2;
/// Bytes of answers in a file, at most. They are compressed in it.
pub const MAX_BYTES: usize = 16 << 20;
/// Rows of a table of one moment: as many as the page asks for.
const MAX_MOMENT_ROWS: usize = 500;
/// Moments in a file, at most: the work for each grows with the range.
const MAX_MOMENTS: usize = 600;
/// Slots and lanes of lanes. The first ones that fit are taken.
const LANES: [(usize, usize); 3] = [(1_200, 2_000), (600, 500), (300, 100)];
/// Bytes of lanes, at most.
const MAX_LANES_BYTES: usize = 4 << 20;

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
    /// All processes over time. `None`: they are too many for a file.
    lanes: Option<Lanes>,
    details: Details,
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

/// What is made of the segments.
struct Answers {
    summary: Value,
    moments: Result<Vec<Value>, String>,
    lanes: Option<Lanes>,
    details: Details,
}

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
        let (answers, _held) = {
            let item = item.clone();
            let make = move |plan: &Plan, segments: &[Arc<Segment>], bound: &Bound| {
                answers(&item, plan, segments, bound)
            };
            self.answer_within(id, plan, make).await?
        };
        let (moments, note) = match answers.moments {
            Ok(moments) => (moments, None),
            Err(note) => (Vec::new(), Some(note)),
        };
        let saved = Saved {
            version: VERSION,
            made: clock::now_ns() as f64 / 1e9,
            range: (from, to),
            container: item,
            life,
            summary: answers.summary,
            moments,
            note,
            lanes: answers.lanes,
            details: answers.details,
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

/// The answers about the range, and about its slots as far as they differ.
fn answers(
    item: &ContainerItem,
    plan: &Plan,
    segments: &[Arc<Segment>],
    bound: &Bound,
) -> Result<Answers, QueryError> {
    let ledger = Ledger::new(plan, segments, &Scope::default());
    let base = Base::new(item, plan, &ledger, bound)?;
    let lanes = lanes(plan, &ledger, bound)?;
    let details = Details::new(&base, plan, segments, &ledger, bound)?;
    let taken = [length(&base.value), length(&lanes), length(&details)];
    let left = MAX_BYTES.saturating_sub(taken.iter().sum());
    let moments = all_moments(&base, plan, segments, left, bound)?;
    Ok(Answers {
        summary: base.value,
        moments,
        lanes,
        details,
    })
}

/// The lanes, as many as fit into a file.
fn lanes(plan: &Plan, ledger: &Ledger<'_>, bound: &Bound) -> Result<Option<Lanes>, MemoryError> {
    for (slots, limit) in LANES {
        let before = bound.left();
        match Lanes::new(plan, ledger, slots, limit, bound) {
            Ok(lanes) if length(&lanes) <= MAX_LANES_BYTES => return Ok(Some(lanes)),
            Err(error) if bound.can_grow() => return Err(error),
            Ok(_) | Err(_) => bound.give_back(before - bound.left()),
        }
    }
    Ok(None)
}

/// The moments in `left` bytes, or why a file has none.
fn all_moments(
    base: &Base,
    plan: &Plan,
    segments: &[Arc<Segment>],
    left: usize,
    bound: &Bound,
) -> Result<Result<Vec<Value>, String>, QueryError> {
    let slots = plan.slots();
    if slots > MAX_MOMENTS {
        return Ok(Err(format!(
            "the range has {slots} slots, and a file has moments up to {MAX_MOMENTS}"
        )));
    }
    let summary = |scope: &Scope| {
        let ledger = Ledger::new(plan, segments, scope);
        base.value_of(plan, &ledger, MAX_MOMENT_ROWS, bound)
    };
    match moments(&base.value, plan, left, bound, summary) {
        Ok(Some(moments)) => Ok(Ok(moments)),
        Ok(None) => Ok(Err(
            "the rows of its moments are too many for a file".to_owned()
        )),
        Err(error) if bound.can_grow() => Err(error.into()),
        Err(_) => {
            let note = "its moments need more memory than a query may use: save a shorter range, \
                longer slots (step), or raise --memory-limit";
            Ok(Err(note.to_owned()))
        }
    }
}

/// What the summary of each slot has instead of `base`. `None`: it is too much for a file.
fn moments(
    base: &Value,
    plan: &Plan,
    left: usize,
    bound: &Bound,
    summary: impl Fn(&Scope) -> Result<Value, MemoryError>,
) -> Result<Option<Vec<Value>>, MemoryError> {
    let mut left = left;
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
