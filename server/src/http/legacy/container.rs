//! `/container/ID/…`: the paths that the page and the scripts of the Python system read.
//!
//! Answers have its shapes: an object with a member for each process id. Like there, an unknown
//! container is an empty answer.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bubble_common::segment::Resolution;
use serde::{Deserialize, Serialize};

use crate::http::access::Readable;
use crate::http::error::{ApiError, Code};
use crate::http::parameters::Checked;
use crate::http::state::AppState;
use crate::query::error::QueryError;
use crate::query::legacy::{ByProcess, CpuPoint, MemoryPoint, ProcessEntry, Slots};

/// Processes in an answer by default.
const DEFAULT_TOP: usize = 10;

/// Seconds in a slot at most.
const MAX_SLOT: u64 = 60;

/// Which points. The Python system also accepted `system`, without effect.
#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    interval: Option<Interval>,
    /// Seconds in a slot of the interval `s`.
    #[serde(default)]
    slots: Option<u64>,
    #[serde(default)]
    top: Option<usize>,
}

/// Distance of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Interval {
    #[serde(rename = "s", alias = "")]
    Second,
    #[serde(rename = "m")]
    Minute,
    #[serde(rename = "h")]
    Hour,
    #[serde(rename = "d")]
    Day,
}

impl Interval {
    fn resolution(self) -> Resolution {
        match self {
            Self::Second => Resolution::Second,
            Self::Minute => Resolution::Minute,
            Self::Hour => Resolution::Hour,
            Self::Day => Resolution::Day,
        }
    }
}

impl Parameters {
    /// The slots of the points. `by_default` is the length of a slot of seconds.
    fn slots(&self, by_default: u64) -> Result<Slots, ApiError> {
        let interval = self.interval.unwrap_or(Interval::Second);
        let resolution = interval.resolution();
        match self.slots {
            Some(seconds) if interval == Interval::Second && (1..=MAX_SLOT).contains(&seconds) => {
                Ok(Slots::of_seconds(seconds))
            }
            Some(_) => Err(ApiError::new(
                Code::BadRequest,
                "slots is the length of a slot of interval=s: 1 to 60 seconds",
            )),
            None if interval == Interval::Second => Ok(Slots::of_seconds(by_default)),
            None => Ok(Slots::of(resolution)),
        }
    }

    fn top(&self) -> usize {
        self.top.unwrap_or(DEFAULT_TOP)
    }
}

/// CPU time by process and slot.
pub(super) async fn cpu(
    State(state): State<AppState>,
    Readable { id, .. }: Readable,
    Checked(Query(parameters)): Checked<Query<Parameters>>,
) -> Result<Json<ByProcess<CpuPoint>>, ApiError> {
    let (slots, top) = (parameters.slots(state.legacy_slots)?, parameters.top());
    or_empty(state.query.legacy_cpu(&id, slots, top).await)
}

/// CPU time of one process by slot and core.
pub(super) async fn cores(
    State(state): State<AppState>,
    Readable { id, .. }: Readable,
    Path((_, process)): Path<(String, String)>,
    Checked(Query(parameters)): Checked<Query<Parameters>>,
) -> Result<Json<ByProcess<CpuPoint>>, ApiError> {
    let process = process
        .parse()
        .map_err(|_| ApiError::new(Code::BadRequest, "the path has no process id"))?;
    let slots = parameters.slots(state.legacy_slots)?;
    or_empty(state.query.legacy_cores(&id, process, slots).await)
}

/// The processes.
pub(super) async fn processes(
    State(state): State<AppState>,
    Readable { id, .. }: Readable,
) -> Result<Json<Processes>, ApiError> {
    let answer = state.query.legacy_processes(&id).await;
    or_empty(answer.map(|data| Processes { data }))
}

/// Memory by process and slot.
pub(super) async fn memory(
    State(state): State<AppState>,
    Readable { id, .. }: Readable,
    Checked(Query(parameters)): Checked<Query<Parameters>>,
) -> Result<Json<ByProcess<MemoryPoint>>, ApiError> {
    let (slots, top) = (parameters.slots(state.legacy_slots)?, parameters.top());
    or_empty(state.query.legacy_memory(&id, slots, top).await)
}

/// Bytes: by process and slot with an interval, by process and descriptor without.
pub(super) async fn io(
    State(state): State<AppState>,
    Readable { id, .. }: Readable,
    Checked(Query(parameters)): Checked<Query<Parameters>>,
) -> Result<Response, ApiError> {
    let top = parameters.top();
    Ok(match parameters.interval {
        Some(_) => {
            let slots = parameters.slots(state.legacy_slots)?;
            or_empty(state.query.legacy_io(&id, slots, top).await)?.into_response()
        }
        None => or_empty(state.query.legacy_files(&id).await)?.into_response(),
    })
}

/// A list of processes.
#[derive(Debug, Default, Serialize)]
pub(super) struct Processes {
    data: Vec<ProcessEntry>,
}

/// An empty answer if there is no such container.
fn or_empty<T: Default>(answer: Result<T, QueryError>) -> Result<Json<T>, ApiError> {
    match answer {
        Err(QueryError::NoContainer(_)) => Ok(Json(T::default())),
        answer => Ok(Json(answer?)),
    }
}
