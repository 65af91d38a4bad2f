//! `/container/ID/…`: what the page and the scripts of the Python system read.
//!
//! Answers have its shapes: an object with a member for each process, by its id.
//! Where it knew nothing it answered with nothing, and so does this.

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
use crate::query::legacy::{ByProcess, CpuPoint, MemoryPoint, ProcessEntry};

/// Processes in an answer when nothing else is asked for.
const TOP: usize = 10;

/// Which points. What the Python system took beside these (`system`) changed nothing.
#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    interval: Option<Interval>,
    #[serde(default)]
    top: Option<usize>,
}

/// How far points are apart.
#[derive(Debug, Clone, Copy, Deserialize)]
enum Interval {
    #[serde(rename = "s")]
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
    fn resolution(&self) -> Resolution {
        self.interval.unwrap_or(Interval::Second).resolution()
    }

    fn top(&self) -> usize {
        self.top.unwrap_or(TOP)
    }
}

/// CPU time by process and slot.
pub(super) async fn cpu(
    State(state): State<AppState>,
    Readable(id): Readable,
    Checked(Query(parameters)): Checked<Query<Parameters>>,
) -> Result<Json<ByProcess<CpuPoint>>, ApiError> {
    let (resolution, top) = (parameters.resolution(), parameters.top());
    or_nothing(state.query.legacy_cpu(&id, resolution, top).await)
}

/// CPU time of one process by slot and core.
pub(super) async fn cores(
    State(state): State<AppState>,
    Readable(id): Readable,
    Path((_, process)): Path<(String, String)>,
    Checked(Query(parameters)): Checked<Query<Parameters>>,
) -> Result<Json<ByProcess<CpuPoint>>, ApiError> {
    let process = process
        .parse()
        .map_err(|_| ApiError::new(Code::BadRequest, "the path has no process id"))?;
    let resolution = parameters.resolution();
    or_nothing(state.query.legacy_cores(&id, process, resolution).await)
}

/// The processes.
pub(super) async fn processes(
    State(state): State<AppState>,
    Readable(id): Readable,
) -> Result<Json<Processes>, ApiError> {
    let answer = state.query.legacy_processes(&id).await;
    or_nothing(answer.map(|data| Processes { data }))
}

/// Memory by process and slot.
pub(super) async fn memory(
    State(state): State<AppState>,
    Readable(id): Readable,
    Checked(Query(parameters)): Checked<Query<Parameters>>,
) -> Result<Json<ByProcess<MemoryPoint>>, ApiError> {
    let (resolution, top) = (parameters.resolution(), parameters.top());
    or_nothing(state.query.legacy_memory(&id, resolution, top).await)
}

/// Bytes: by process and slot with an interval, by process and descriptor without.
pub(super) async fn io(
    State(state): State<AppState>,
    Readable(id): Readable,
    Checked(Query(parameters)): Checked<Query<Parameters>>,
) -> Result<Response, ApiError> {
    let top = parameters.top();
    Ok(match parameters.interval {
        Some(interval) => {
            let resolution = interval.resolution();
            or_nothing(state.query.legacy_io(&id, resolution, top).await)?.into_response()
        }
        None => or_nothing(state.query.legacy_files(&id).await)?.into_response(),
    })
}

/// A list of processes.
#[derive(Debug, Default, Serialize)]
pub(super) struct Processes {
    data: Vec<ProcessEntry>,
}

/// Nothing, where there is no such container.
fn or_nothing<T: Default>(answer: Result<T, QueryError>) -> Result<Json<T>, ApiError> {
    match answer {
        Err(QueryError::NoContainer(_)) => Ok(Json(T::default())),
        answer => Ok(Json(answer?)),
    }
}
