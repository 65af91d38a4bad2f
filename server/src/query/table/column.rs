//! The columns of each kind of row: what a table can be sorted, filtered and grouped by.

use std::borrow::Cow;

use super::row::{CpuCell, EventCell, FileCell, NetworkCell, Who};
use crate::query::filter::{ColumnType, Value};
use crate::query::io::{ConnectionSums, FileSums};
use crate::query::process::{ExitInfo, ProcessInfo};
use crate::query::wait::held_up;

/// A column of rows of type `R`.
pub(super) struct Column<R> {
    pub(super) name: &'static str,
    pub(super) get: Get<R>,
}

/// How a column's value is read, and how the values of several rows are summed up.
pub(super) enum Get<R> {
    /// Text; not summed.
    Text(for<'r> fn(&'r R) -> Cow<'r, str>),
    /// Labels, one a line; not summed.
    Labels(for<'r> fn(&'r R) -> Cow<'r, str>),
    /// A mark that a row has or lacks; not summed.
    Mark(fn(&R) -> bool),
    /// A number that identifies something; not summed.
    Id(fn(&R) -> Option<u64>),
    /// A time in seconds since the Unix epoch; not summed.
    Time(fn(&R) -> Option<f64>),
    /// A count; adds up.
    Sum(fn(&R) -> u64),
    /// A measurement, if there was one; the highest counts.
    Max(fn(&R) -> Option<u64>),
}

/// Reads a part of a column. `None` if the row lacks it.
pub(super) type Part<R> = Box<dyn Fn(&R) -> Option<String>>;

/// A kind of rows.
pub(super) trait Columns: Sized + 'static {
    /// Its columns.
    const COLUMNS: &'static [Column<Self>];

    /// A part of a column that rows can be grouped by, such as `label:team`.
    fn part(_name: &str) -> Option<Part<Self>> {
        None
    }
}

impl<R> Column<R> {
    pub(super) fn value<'r>(&self, row: &'r R) -> Value<'r> {
        match self.get {
            Get::Text(get) | Get::Labels(get) => Value::Text(get(row)),
            Get::Mark(get) => Value::Text(Cow::Borrowed(if get(row) { self.name } else { "" })),
            Get::Id(get) | Get::Max(get) => get(row).map_or(Value::Unknown, Value::Number),
            Get::Time(get) => get(row).map_or(Value::Unknown, Value::Time),
            Get::Sum(get) => Value::Number(get(row)),
        }
    }

    /// Whether its values are text.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.get, Get::Text(_) | Get::Labels(_) | Get::Mark(_))
    }

    pub(super) fn kind(&self) -> ColumnType {
        match self.get {
            Get::Text(_) => ColumnType::Text,
            Get::Labels(_) => ColumnType::Labels,
            Get::Mark(_) => ColumnType::Mark,
            Get::Time(_) => ColumnType::Time,
            Get::Id(_) | Get::Sum(_) | Get::Max(_) => ColumnType::Number,
        }
    }
}

/// One column: `column!(text "name", |row| …)`.
macro_rules! column {
    ($get:ident $name:literal, $read:expr) => {
        Column {
            name: $name,
            get: Get::$get($read),
        }
    };
}

pub(super) use column;

impl Columns for ProcessInfo {
    const COLUMNS: &'static [Column<Self>] = &[
        column!(Text "process", |row| Cow::Borrowed(&row.key)),
        column!(Text "name", |row| Cow::Borrowed(&row.name)),
        column!(Text "args", |row| Cow::Owned(row.args.joined())),
        column!(Text "exe", |row| Cow::Borrowed(&row.exe)),
        column!(Text "exit", |row| exit(row.exit)),
        column!(Id "pid", |row| Some(row.pid.into())),
        column!(Id "container_pid", |row| Some(row.container_pid.into())),
        column!(Id "parent", |row| Some(row.parent.into())),
        column!(Id "uid", |row| Some(row.uid.into())),
        column!(Id "gid", |row| row.gid.map(u64::from)),
        column!(Time "start", |row| Some(row.start)),
        column!(Time "end", |row| row.end),
        column!(Sum "count", |row| row.count.into()),
        column!(Sum "count_at_least", |row| row.count_at_least.into()),
        column!(Sum "ended", |row| row.exit.is_some().into()),
        column!(Sum "failed", |row| row.exit.is_some_and(ExitInfo::is_failure).into()),
        column!(Sum "cpu_ns", |row| row.cpu_ns),
        column!(Sum "wait_ns", |row| held_up(&row.waits)),
        column!(Sum "wait_core_ns", |row| wait(row, "core")),
        column!(Sum "wait_disk_ns", |row| wait(row, "disk")),
        column!(Sum "wait_network_ns", |row| wait(row, "network")),
        column!(Sum "wait_lock_ns", |row| wait(row, "lock")),
        column!(Sum "wait_events_ns", |row| wait(row, "events")),
        column!(Sum "wait_child_ns", |row| wait(row, "child")),
        column!(Sum "wait_sleep_ns", |row| wait(row, "sleep")),
        column!(Sum "wait_pipe_ns", |row| wait(row, "pipe")),
        column!(Sum "wait_stopped_ns", |row| wait(row, "stopped")),
        column!(Sum "wait_other_ns", |row| wait(row, "other")),
        column!(Max "rss_max", |row| row.rss_max),
        column!(Max "private_max", |row| row.private_max),
        column!(Max "vm_max", |row| row.vm_max),
        column!(Max "swap_max", |row| row.swap_max),
        column!(Sum "bytes_in", |row| row.bytes_in),
        column!(Sum "bytes_out", |row| row.bytes_out),
        column!(Sum "received", |row| row.received),
        column!(Sum "sent", |row| row.sent),
    ];
}

impl Columns for FileCell {
    const COLUMNS: &'static [Column<Self>] = &[
        column!(Text "process", |row| Cow::Borrowed(&row.who.process)),
        column!(Text "name", |row| Cow::Borrowed(&row.who.name)),
        column!(Text "args", |row| args(&row.who)),
        column!(Text "path", |row| Cow::Borrowed(&row.file.path)),
        column!(Text "directory", |row| directory(&row.file)),
        column!(Text "kind", |row| Cow::Borrowed(row.file.kind)),
        column!(Id "pid", |row| Some(row.who.pid.into())),
        column!(Id "container_pid", |row| Some(row.who.container_pid.into())),
        column!(Sum "bytes_in", |row| row.file.bytes_in),
        column!(Sum "bytes_out", |row| row.file.bytes_out),
        column!(Sum "bytes", |row| row.file.bytes_in.saturating_add(row.file.bytes_out)),
        column!(Sum "ops_in", |row| row.file.ops_in),
        column!(Sum "ops_out", |row| row.file.ops_out),
        column!(Sum "opens", |row| row.file.opens),
        column!(Sum "mapped_pages", |row| row.file.mapped_pages),
        column!(Sum "waited_ns", |row| row.file.waited_ns),
    ];
}

impl Columns for NetworkCell {
    const COLUMNS: &'static [Column<Self>] = &[
        column!(Text "process", |row| Cow::Borrowed(&row.who.process)),
        column!(Text "name", |row| Cow::Borrowed(&row.who.name)),
        column!(Text "args", |row| args(&row.who)),
        column!(Text "protocol", |row| Cow::Borrowed(row.connection.protocol)),
        column!(Text "role", |row| Cow::Borrowed(row.connection.role)),
        column!(Text "local", |row| Cow::Borrowed(&row.connection.local)),
        column!(Text "peer", |row| Cow::Borrowed(&row.connection.peer)),
        column!(Text "remote", |row| Cow::Borrowed(&row.connection.remote)),
        column!(Id "port", |row| row.connection.port.map(u64::from)),
        column!(Id "pid", |row| Some(row.who.pid.into())),
        column!(Id "container_pid", |row| Some(row.who.container_pid.into())),
        column!(Sum "bytes_in", |row| row.connection.bytes_in),
        column!(Sum "bytes_out", |row| row.connection.bytes_out),
        column!(Sum "bytes", |row| bytes(&row.connection)),
        column!(Sum "ops_in", |row| row.connection.ops_in),
        column!(Sum "ops_out", |row| row.connection.ops_out),
        column!(Sum "connects", |row| row.connection.connects),
        column!(Sum "failures", |row| row.connection.failures),
        column!(Sum "waited_ns", |row| row.connection.waited_ns),
    ];
}

impl Columns for CpuCell {
    const COLUMNS: &'static [Column<Self>] = &[
        column!(Text "process", |row| Cow::Borrowed(&row.who.process)),
        column!(Text "name", |row| Cow::Borrowed(&row.who.name)),
        column!(Text "args", |row| args(&row.who)),
        column!(Id "pid", |row| Some(row.who.pid.into())),
        column!(Id "container_pid", |row| Some(row.who.container_pid.into())),
        column!(Id "core", |row| Some(row.core.into())),
        column!(Sum "cpu_ns", |row| row.cpu_ns),
    ];
}

impl Columns for EventCell {
    const COLUMNS: &'static [Column<Self>] = &[
        column!(Time "at", |row| Some(row.at)),
        column!(Text "kind", |row| Cow::Borrowed(row.kind)),
        column!(Text "process", |row| Cow::Borrowed(&row.process)),
        column!(Text "name", |row| Cow::Borrowed(&row.name)),
        column!(Text "detail", |row| Cow::Borrowed(&row.detail)),
        column!(Id "pid", |row| Some(row.pid.into())),
        column!(Sum "count", |row| row.count),
    ];
}

fn wait(row: &ProcessInfo, kind: &str) -> u64 {
    row.waits.get(kind).copied().unwrap_or(0)
}

fn args(who: &Who) -> Cow<'_, str> {
    Cow::Owned(who.args.joined())
}

/// `code 1`, `signal 9`; empty while it runs.
fn exit(exit: Option<ExitInfo>) -> Cow<'static, str> {
    match exit {
        Some(ExitInfo::Code(code)) => Cow::Owned(format!("code {code}")),
        Some(ExitInfo::Signal(signal)) => Cow::Owned(format!("signal {signal}")),
        None => Cow::Borrowed(""),
    }
}

/// The directory that holds the file; empty if its path has none.
fn directory(file: &FileSums) -> Cow<'_, str> {
    match file.path.rsplit_once('/') {
        Some(("", _)) => Cow::Borrowed("/"),
        Some((directory, _)) => Cow::Borrowed(directory),
        None => Cow::Borrowed(""),
    }
}

fn bytes(connection: &ConnectionSums) -> u64 {
    connection.bytes_in.saturating_add(connection.bytes_out)
}
