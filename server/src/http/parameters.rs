//! Query parameters, checked: an unknown name is an error.

use axum::extract::FromRequestParts;
use axum::extract::rejection::QueryRejection;
use axum::http::request::Parts;
use bubble_common::report;
use bubble_common::report::asked::{Asked, InvalidAsked};
use bubble_common::report::render::Format as ReportFormat;
use serde::Deserialize;

use super::error::{ApiError, Code};
use super::state::AppState;
use crate::clock;
use crate::query::Ask;
use crate::query::report::ReportAsk;
use crate::query::table::{Arrangement, Order, SeriesKind, TableKind};

/// Longest name of a recording, in characters.
const MAX_NAME: usize = 200;
/// Names in the stacks of a live stream, which the page adds to those that it shows: the largest
/// of one second are others than those of a range.
const MAX_LIVE_SERIES: usize = 100;
/// Rows of a table by default.
const DEFAULT_TOP: usize = 50;

/// An extractor that is rejected with our errors.
#[derive(Debug)]
pub(super) struct Checked<T>(pub(super) T);

impl<T> FromRequestParts<AppState> for Checked<T>
where
    T: FromRequestParts<AppState, Rejection = QueryRejection>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let extracted = T::from_request_parts(parts, state).await;
        extracted.map(Self).map_err(|rejection| {
            ApiError::new(Code::BadRequest, rejection.body_text().to_lowercase())
        })
    }
}

/// Where a batch belongs.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PostParameters {
    /// Name of the recording that the batch is part of, 1 to 200 characters;
    /// without it the batch is live. All batches (and segments) of a recording
    /// have one source, which is its id. Recordings never expire.
    #[serde(default)]
    recording: Option<String>,
}

/// Whose watched containers are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchParameters {
    /// The host, as the agent names it in its batches.
    pub(super) host: String,
    /// The version of the list that the agent has. Without it the answer comes at once.
    #[serde(default)]
    pub(super) version: Option<String>,
}

/// How an uploaded capture is called.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadParameters {
    /// Name of the recording, 1 to 200 characters; that of the file, as a rule.
    name: String,
}

impl UploadParameters {
    /// The name, checked.
    pub(super) fn name(self) -> Result<String, ApiError> {
        checked_name("name", self.name)
    }
}

impl PostParameters {
    /// The name, checked.
    pub(super) fn recording(self) -> Result<Option<String>, ApiError> {
        let name = self.recording;
        name.map(|name| checked_name("recording", name)).transpose()
    }
}

/// The name of a recording, if it is one.
fn checked_name(parameter: &str, name: String) -> Result<String, ApiError> {
    let is_good =
        (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    is_good.then_some(name).ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            format!(
                "{parameter} is a name of 1 to {MAX_NAME} characters, none a control character"
            ),
        )
    })
}

/// A range of a container.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AskParameters {
    /// Start, seconds since the Unix epoch; without it 15 minutes before the end.
    #[serde(default)]
    from: Option<f64>,
    /// End, seconds since the Unix epoch; without it now, or when the container ended.
    #[serde(default)]
    to: Option<f64>,
    /// Length of a slot in seconds, or `auto`, which is the default.
    #[serde(default)]
    step: Option<String>,
    /// At most so many rows a table, 1 to 1,000; 50 when not given.
    #[serde(default)]
    top: Option<usize>,
    /// At most so many names in the series of CPU and memory, 1 to 1,000. The others are `(other)`. When
    /// not given as many as `top`, and 12 without that.
    #[serde(default)]
    series: Option<usize>,
    /// Only this process: `PID-START_NS`, all programs that it ran.
    #[serde(default)]
    process: Option<String>,
    /// Rows as of the slot that holds this moment, seconds since the Unix epoch.
    #[serde(default)]
    at: Option<f64>,
}

/// A range.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeParameters {
    /// Start, seconds since the Unix epoch; without it 15 minutes before the end.
    #[serde(default)]
    from: Option<f64>,
    /// End, seconds since the Unix epoch; without it now, or when the container ended.
    #[serde(default)]
    to: Option<f64>,
    /// Length of a slot in seconds, or `auto`, which is the default.
    #[serde(default)]
    step: Option<String>,
}

/// A table of a range.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TableParameters {
    /// Which table.
    #[serde(default)]
    pub(super) kind: Option<TableKind>,
    /// `json`, which is the default, or `csv`.
    #[serde(default)]
    pub(super) format: Option<Format>,
    /// Start, seconds since the Unix epoch.
    #[serde(default)]
    from: Option<f64>,
    /// End, seconds since the Unix epoch.
    #[serde(default)]
    to: Option<f64>,
    /// Length of a slot in seconds, or `auto`, which is the default.
    #[serde(default)]
    step: Option<String>,
    /// Only this process: `PID-START_NS`.
    #[serde(default)]
    process: Option<String>,
    /// Rows as of the slot that holds this moment, seconds since the Unix epoch. Events are those
    /// of the whole range.
    #[serde(default)]
    at: Option<f64>,
    /// Columns to sort by, separated by commas: those of the CSV, and `bytes` (both directions),
    /// `failed`, `ended`, `exit`, `directory`, `remote`, `port`. Of groups also `rows`. Without it
    /// rows are in the order of their keys, and the largest group comes first.
    #[serde(default)]
    sort: Option<String>,
    /// Direction of the order; without it numbers start with the highest, and texts with the first.
    #[serde(default)]
    order: Option<Order>,
    /// Words that must all match: `curl`, `name:curl`, `path:/var/*`, `name:=sh`, `failures:>0`,
    /// `bytes_out:>10MiB`, `end:<12h` (less than 12 hours ago). `"` keeps blanks.
    #[serde(default)]
    filter: Option<String>,
    /// Columns, separated by commas: rows that agree in all of them become one, with their sums.
    /// For example `protocol,role,remote,port` of `network`, or `name,exit` of `process`.
    #[serde(default)]
    group: Option<String>,
    /// At most so many rows, at least 1; all when not given. `rest` has the sums of the others.
    #[serde(default)]
    limit: Option<usize>,
    /// Rows to skip, after sorting.
    #[serde(default)]
    offset: Option<usize>,
}

/// All processes of a range.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LanesParameters {
    /// Start, seconds since the Unix epoch; without it 15 minutes before the end.
    #[serde(default)]
    from: Option<f64>,
    /// End, seconds since the Unix epoch; without it now, or when the container ended.
    #[serde(default)]
    to: Option<f64>,
    /// At most so many slots, 1 to 2,000; 600 when not given.
    #[serde(default)]
    slots: Option<usize>,
    /// At most so many processes have a lane of their own, 1 to 10,000; 5,000 when not given.
    #[serde(default)]
    limit: Option<usize>,
}

/// The rows of a table over time.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesParameters {
    /// Which table.
    pub(super) kind: SeriesKind,
    /// Start, seconds since the Unix epoch.
    #[serde(default)]
    from: Option<f64>,
    /// End, seconds since the Unix epoch.
    #[serde(default)]
    to: Option<f64>,
    /// Length of a slot in seconds, or `auto`, which is the default.
    #[serde(default)]
    step: Option<String>,
    /// Words that must all match, as those of a table.
    #[serde(default)]
    pub(super) filter: Option<String>,
}

/// The container to compare with.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareParameters {
    /// Its id.
    pub(super) with: String,
    /// At most so many rows of each kind, 1 to 1,000; 50 when not given.
    #[serde(default)]
    limit: Option<usize>,
}

/// Format of a table.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// JSON.
    #[default]
    Json,
    /// CSV (RFC 4180).
    Csv,
}

/// The report of a container.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportParameters {
    /// `json`, which is the default, `text`, `markdown`, `html` (one page with charts); or the fields of another tool: `time` (GNU's
    /// `time -v`), `snakemake` (a benchmark), `nextflow` (`.command.trace`).
    #[serde(default)]
    pub(super) format: Option<ReportFormat>,
    /// Start, seconds since the Unix epoch; without it that of the container.
    #[serde(default)]
    from: Option<f64>,
    /// End, seconds since the Unix epoch; without it that of the container, or now.
    #[serde(default)]
    to: Option<f64>,
    /// What was asked for when it was started, such as `cores=32,memory=64G,time=2h`; without it the limits of
    /// its cgroup.
    #[serde(default)]
    asked: Option<String>,
    /// At most so many rows a list, 1 to 1,000; 10 when not given.
    #[serde(default)]
    top: Option<usize>,
}

/// Contents of a live stream.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LiveParameters {
    /// Length of a slot in seconds; 1 when not given.
    #[serde(default)]
    step: Option<String>,
    /// At most so many rows a table, 1 to 1,000; 50 when not given.
    #[serde(default)]
    top: Option<usize>,
    /// Only this process: `PID-START_NS`.
    #[serde(default)]
    process: Option<String>,
}

impl AskParameters {
    pub(super) fn ask(&self) -> Result<Ask, ApiError> {
        let (from, to) = range(self.from, self.to)?;
        Ok(Ask {
            from,
            to,
            step: step(self.step.as_deref())?,
            process: process(self.process.as_deref())?,
            at: time("at", self.at)?,
            top: self.top.unwrap_or(DEFAULT_TOP).clamp(1, 1_000),
            max_series: self.series.or(self.top).map(|names| names.clamp(1, 1_000)),
            extent: None,
        })
    }
}

impl RangeParameters {
    pub(super) fn ask(&self) -> Result<Ask, ApiError> {
        let (from, to) = range(self.from, self.to)?;
        Ok(Ask {
            from,
            to,
            step: step(self.step.as_deref())?,
            ..Ask::default()
        })
    }
}

impl ReportParameters {
    pub(super) fn ask(&self) -> Result<ReportAsk, ApiError> {
        let (from, to) = range(self.from, self.to)?;
        let asked = match self.asked.as_deref() {
            None | Some("") => Asked::default(),
            Some(text) => text
                .parse()
                .map_err(|error: InvalidAsked| bad(error.to_string()))?,
        };
        let rows = self.top.unwrap_or(report::DEFAULT_ROWS).clamp(1, 1_000);
        Ok(ReportAsk {
            from,
            to,
            asked,
            rows,
        })
    }
}

impl TableParameters {
    pub(super) fn ask(&self) -> Result<Ask, ApiError> {
        let (from, to) = range(self.from, self.to)?;
        Ok(Ask {
            from,
            to,
            step: step(self.step.as_deref())?,
            process: process(self.process.as_deref())?,
            at: time("at", self.at)?,
            top: usize::MAX,
            max_series: None,
            extent: None,
        })
    }

    pub(super) fn arrangement(self) -> Result<Arrangement, ApiError> {
        if self.limit == Some(0) {
            return Err(bad("limit is a number of rows, at least 1"));
        }
        let named = |columns: Option<String>| columns.filter(|columns| !columns.is_empty());
        Ok(Arrangement {
            sort: named(self.sort),
            order: self.order,
            filter: self.filter.unwrap_or_default(),
            group: named(self.group),
            offset: self.offset.unwrap_or(0),
            limit: self.limit,
            now: clock::now(),
        })
    }
}

impl LanesParameters {
    pub(super) fn ask(&self) -> Result<Ask, ApiError> {
        let (from, to) = range(self.from, self.to)?;
        Ok(Ask {
            from,
            to,
            ..Ask::default()
        })
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.unwrap_or(600).clamp(1, 2_000)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(5_000).clamp(1, 10_000)
    }
}

impl SeriesParameters {
    pub(super) fn ask(&self) -> Result<Ask, ApiError> {
        let (from, to) = range(self.from, self.to)?;
        Ok(Ask {
            from,
            to,
            step: step(self.step.as_deref())?,
            ..Ask::default()
        })
    }
}

impl CompareParameters {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_TOP).clamp(1, 1_000)
    }
}

impl LiveParameters {
    pub(super) fn ask(&self) -> Result<Ask, ApiError> {
        Ok(Ask {
            step: Some(step(self.step.as_deref())?.unwrap_or(1)),
            process: process(self.process.as_deref())?,
            top: self.top.unwrap_or(DEFAULT_TOP).clamp(1, 1_000),
            max_series: Some(MAX_LIVE_SERIES),
            ..Ask::default()
        })
    }
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::BadRequest, message)
}

fn time(name: &str, value: Option<f64>) -> Result<Option<f64>, ApiError> {
    match value {
        Some(value) if !value.is_finite() || value < 0.0 => Err(bad(format!(
            "{name} is a number of seconds since the Unix epoch"
        ))),
        value => Ok(value),
    }
}

fn range(from: Option<f64>, to: Option<f64>) -> Result<(Option<f64>, Option<f64>), ApiError> {
    let (from, to) = (time("from", from)?, time("to", to)?);
    match (from, to) {
        (Some(from), Some(to)) if from >= to => Err(bad("from must be before to")),
        range => Ok(range),
    }
}

fn step(text: Option<&str>) -> Result<Option<u64>, ApiError> {
    match text {
        None | Some("" | "auto") => Ok(None),
        Some(text) => match text.parse() {
            Ok(step) if (1..=86_400 * 366).contains(&step) => Ok(Some(step)),
            _ => Err(bad("step is auto or a whole number of seconds")),
        },
    }
}

/// `PID-START` or `PID-START-EXEC`.
fn process(text: Option<&str>) -> Result<Option<(u32, u64)>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let mut parts = text.split('-');
    let pid = parts.next().and_then(|pid| pid.parse().ok());
    let start = parts.next().and_then(|start| start.parse().ok());
    match (pid, start) {
        (Some(pid), Some(start)) => Ok(Some((pid, start))),
        _ => Err(bad("process is PID-START_NS, as in the answers")),
    }
}
