//! Events of a range.

use std::collections::BTreeMap;

use bubble_common::segment::event::{Event, EventKind};
use serde::Serialize;

use crate::query::ledger::Ledger;
use crate::query::process::key_of;

/// Events in an answer, besides starts, ends and out-of-memory kills, which are all there.
const MAX_EVENTS: usize = 1_000;

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct EventInfo {
    /// When, seconds since the Unix epoch.
    pub at: f64,
    /// `container_start`, `container_end`, `oom_kill`, `connection_failed`, `folded`.
    pub kind: &'static str,
    /// Key of the process.
    pub process: Option<String>,
    /// More about it.
    pub detail: String,
}

/// The events in order of time: all starts, ends and out-of-memory kills, and the first of the others.
pub(super) fn events(ledger: &Ledger<'_>) -> Vec<EventInfo> {
    let key = |index: u32| key_of(&ledger.processes[index as usize].process);
    let mut others = 0;
    known(ledger)
        .filter(|(event, _)| {
            let important = matches!(
                event.kind,
                EventKind::CONTAINER_START | EventKind::CONTAINER_END | EventKind::OOM_KILL
            );
            others += usize::from(!important);
            important || others <= MAX_EVENTS
        })
        .map(|(event, process)| EventInfo {
            at: event.at as f64 / 1e9,
            kind: event.kind.name(),
            process: process.map(key),
            detail: event.detail.clone(),
        })
        .collect()
}

/// Number of events by kind. Of `folded` the number of events that were folded.
pub(super) fn counts(ledger: &Ledger<'_>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for (event, _) in known(ledger) {
        let count: &mut u64 = counts.entry(event.kind.name()).or_default();
        *count = count.saturating_add(match event.kind {
            EventKind::FOLDED => event.detail.parse().unwrap_or(1),
            _ => 1,
        });
    }
    counts
}

fn known<'l>(ledger: &'l Ledger<'_>) -> impl Iterator<Item = (&'l Event, Option<u32>)> {
    let events = ledger
        .events
        .iter()
        .map(|(event, process)| (*event, *process));
    events.filter(|(event, _)| !event.kind.name().is_empty())
}
