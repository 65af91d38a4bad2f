//! The list of containers, sorted and filtered by any of its columns.

use std::borrow::Cow;

use super::arrange::{self, Arrangement, GroupRow, RowSums};
use super::column::{Column, Columns, Get, Part, column};
use crate::query::bound::Bound;
use crate::query::error::QueryError;
use crate::query::item::ContainerItem;
use crate::store::container::State;

/// A page of the list.
pub struct ContainerRows {
    /// The containers of this page.
    pub containers: Vec<ContainerItem>,
    /// The groups of this page, instead of containers, if the list is grouped.
    pub groups: Vec<GroupRow>,
    /// All that match the filter.
    pub total: RowSums,
    /// Those of them that are not on this page.
    pub rest: RowSums,
}

impl ContainerRows {
    /// Filters, groups, sorts and cuts `containers`.
    ///
    /// # Errors
    /// When there is no such column, or the filter is not valid.
    pub fn new(containers: Vec<ContainerItem>, by: &Arrangement) -> Result<Self, QueryError> {
        let bound = Bound::none();
        if let Some(group) = &by.group {
            let arranged = arrange::groups(containers, group, by, &bound)?;
            return Ok(Self {
                containers: Vec::new(),
                groups: arranged.rows,
                total: arranged.total,
                rest: arranged.rest,
            });
        }
        let arranged = arrange::rows(containers, by, &bound)?;
        Ok(Self {
            containers: arranged.rows,
            groups: Vec::new(),
            total: arranged.total,
            rest: arranged.rest,
        })
    }
}

impl Columns for ContainerItem {
    const COLUMNS: &'static [Column<Self>] = &[
        column!(Text "name", |row| Cow::Borrowed(if row.name.is_empty() { &row.id } else { &row.name })),
        column!(Text "id", |row| Cow::Borrowed(&row.id)),
        column!(Text "image", |row| Cow::Borrowed(&row.image)),
        column!(Text "runtime", |row| Cow::Borrowed(&row.runtime)),
        column!(Text "host", |row| Cow::Borrowed(&row.host)),
        column!(Labels "label", labels),
        column!(Text "recording", |row| Cow::Owned(row.recordings.join("\n"))),
        column!(Text "state", |row| Cow::Borrowed(state(row.state))),
        column!(Mark "oom", |row| row.oom_killed),
        column!(Id "exit_code", |row| row.exit_code),
        column!(Sum "failed", |row| has_failed(row).into()),
        column!(Sum "running", |row| (row.state == State::Running).into()),
        column!(Time "first_seen", |row| Some(row.first_seen)),
        column!(Time "last_seen", |row| Some(row.last_seen)),
        column!(Time "started", |row| row.started),
        column!(Time "ended", ended),
        // In thousandths of a core, as the answer rounds it.
        column!(Sum "cpu_now", |row| (row.cpu_now.unwrap_or(0.0) * 1_000.0).round() as u64),
        column!(Sum "cpu_ns", |row| row.cpu_ns.unwrap_or(0)),
        column!(Sum "memory_now", |row| row.memory_now.unwrap_or(0)),
        column!(Max "memory_peak", |row| row.memory_peak),
        column!(Sum "bytes_in", |row| row.bytes_in.unwrap_or(0)),
        column!(Sum "bytes_out", |row| row.bytes_out.unwrap_or(0)),
        column!(Sum "bytes", bytes),
    ];

    /// The value of the label `team` for `label:team`.
    fn part(name: &str) -> Option<Part<Self>> {
        let label = name.strip_prefix("label:")?.to_owned();
        Some(Box::new(move |row: &Self| row.labels.get(&label).cloned()))
    }
}

/// Whether it ended with a code other than 0, or was killed because memory ran out.
fn has_failed(row: &ContainerItem) -> bool {
    row.oom_killed || row.exit_code.is_some_and(|code| code != 0)
}

/// Bytes in both directions.
fn bytes(row: &ContainerItem) -> u64 {
    let (bytes_in, bytes_out) = (row.bytes_in.unwrap_or(0), row.bytes_out.unwrap_or(0));
    bytes_in.saturating_add(bytes_out)
}

/// `team=ml`, one label a line.
fn labels(row: &ContainerItem) -> Cow<'_, str> {
    let labels = row.labels.iter();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Cow::Owned(labels.join("\n"))
}

fn state(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Ended => "ended",
        State::Silent => "silent",
    }
}

/// When it ended; when it was seen last if its runtime did not say.
fn ended(row: &ContainerItem) -> Option<f64> {
    match row.state {
        State::Ended => row.ended.or(Some(row.last_seen)),
        State::Running | State::Silent => None,
    }
}
