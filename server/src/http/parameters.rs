//! Parameters of questions, checked: a mistyped name is refused by name.

use axum::extract::FromRequestParts;
use axum::extract::rejection::QueryRejection;
use axum::http::request::Parts;
use serde::Deserialize;

use super::error::{ApiError, Code};
use super::state::AppState;
use crate::query::Ask;
use crate::query::table::TableKind;

/// Longest name of a recording, in characters.
const NAME: usize = 200;
/// Rows of a table when nothing else is asked for.
const TOP: usize = 50;

/// An extractor whose rejection is answered as our errors are.
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

/// What a batch is part of.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PostParameters {
    /// Name of the recording that the batch is part of, 1 to 200 characters;
    /// without it the batch is live. All batches (and segments) of a recording
    /// have one source, which is its id. What is recorded never expires.
    #[serde(default)]
    recording: Option<String>,
}

impl PostParameters {
    /// The name, checked.
    pub(super) fn recording(self) -> Result<Option<String>, ApiError> {
        let good = |name: &String| {
            let length = name.chars().count();
            (1..=NAME).contains(&length) && !name.chars().any(char::is_control)
        };
        match self.recording {
            Some(name) if !good(&name) => Err(ApiError::new(
                Code::BadRequest,
                format!("recording is a name of 1 to {NAME} characters, none a control character"),
            )),
            name => Ok(name),
        }
    }
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
    /// Only this process: `PID-START_NS`, all programs that it ran.
    #[serde(default)]
    process: Option<String>,
    /// Rows as of the slot that holds this moment, seconds since the Unix epoch.
    #[serde(default)]
    at: Option<f64>,
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
}

/// How a table is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// JSON.
    #[default]
    Json,
    /// CSV (RFC 4180).
    Csv,
}

/// What a live stream is to hold.
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
            top: self.top.unwrap_or(TOP).clamp(1, 1_000),
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
            at: None,
            top: usize::MAX,
        })
    }
}

impl LiveParameters {
    pub(super) fn ask(&self) -> Result<Ask, ApiError> {
        Ok(Ask {
            step: Some(step(self.step.as_deref())?.unwrap_or(1)),
            process: process(self.process.as_deref())?,
            top: self.top.unwrap_or(TOP).clamp(1, 1_000),
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
