//! Containers: the list, and what is known of one.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::access::{Admin, Readable};
use super::error::{ApiError, Code, ErrorBody};
use super::parameters::{AskParameters, Checked, Format, TableParameters};
use super::state::AppState;
use crate::clock;
use crate::query::item::ContainerItem;
use crate::query::life::Life;
use crate::query::summary::Summary;
use crate::query::table::Table;
use crate::store::container::{ContainerFilter, Sort, State as ContainerState};
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Which containers.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    /// Part of the id, name, image, host, a label or the name of a recording.
    #[serde(default)]
    search: Option<String>,
    /// Name of the host.
    #[serde(default)]
    host: Option<String>,
    /// `running`, `ended`, `silent`, or `all`, which is the default.
    #[serde(default)]
    state: Option<String>,
    /// `activity` (the default), `name`, `cpu`, `memory` or `bytes`.
    #[serde(default)]
    sort: Option<Sort>,
    /// At most how many, 1 to 1,000; 100 when not given.
    #[serde(default)]
    limit: Option<usize>,
    /// Where the page before ended: its `next`.
    #[serde(default)]
    cursor: Option<String>,
}

/// A page of the list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ContainerList {
    /// The containers of this page.
    containers: Vec<ContainerItem>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
    /// How many there are on all pages.
    total: u64,
}

/// Lists containers.
#[utoipa::path(
    get, path = "/api/v1/containers", operation_id = "listContainers", tag = "containers",
    params(ListParameters),
    responses((status = 200, body = ContainerList), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn list(
    State(state): State<AppState>,
    _admin: Admin,
    parameters: Checked<Query<ListParameters>>,
) -> Result<Json<ContainerList>, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let wanted = match parameters.state.as_deref() {
        None | Some("all" | "") => None,
        Some("running") => Some(ContainerState::Running),
        Some("ended") => Some(ContainerState::Ended),
        Some("silent") => Some(ContainerState::Silent),
        Some(_) => {
            return Err(ApiError::new(
                Code::BadRequest,
                "state is one of running, ended, silent, all",
            ));
        }
    };
    let offset = match &parameters.cursor {
        None => 0,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| ApiError::new(Code::BadRequest, "the cursor is not one of ours"))?,
    };
    let now = clock::now();
    let filter = ContainerFilter {
        search: parameters.search.filter(|text| !text.is_empty()),
        host: parameters.host.filter(|text| !text.is_empty()),
        state: wanted,
        now,
        sort: parameters.sort.unwrap_or_default(),
        limit: parameters.limit.unwrap_or(100).clamp(1, 1_000),
        offset,
    };
    let page = state.store.containers(&filter).await?;
    let end = offset + page.containers.len();
    Ok(Json(ContainerList {
        containers: page
            .containers
            .iter()
            .map(|container| ContainerItem::new(container, now))
            .collect(),
        next: ((end as u64) < page.total && end > offset).then(|| end.to_string()),
        total: page.total,
    }))
}

/// What is known of a container.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}", operation_id = "getContainer", tag = "containers",
    params(("id" = String, Path, description = "the container's id; of 64 digits the first 12 count")),
    responses((status = 200, body = ContainerItem), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn get(
    State(state): State<AppState>,
    Readable(id): Readable,
) -> Result<Json<ContainerItem>, ApiError> {
    let container = state.query.container(&id).await?;
    Ok(Json(ContainerItem::new(&container, clock::now())))
}

/// Everything about a range of a container: what the page shows.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/summary", operation_id = "getSummary", tag = "containers",
    params(("id" = String, Path, description = "the container's id"), AskParameters),
    responses((status = 200, body = Summary), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn summary(
    State(state): State<AppState>,
    Readable(id): Readable,
    parameters: Checked<Query<AskParameters>>,
) -> Result<Json<Summary>, ApiError> {
    let Checked(Query(parameters)) = parameters;
    Ok(Json(state.query.summary(&id, &parameters.ask()?).await?))
}

/// The whole life of a container, for the bar of time.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/life", operation_id = "getLife", tag = "containers",
    params(("id" = String, Path, description = "the container's id")),
    responses((status = 200, body = Life), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn life(
    State(state): State<AppState>,
    Readable(id): Readable,
) -> Result<Json<Life>, ApiError> {
    Ok(Json(state.query.life(&id).await?))
}

/// A whole table over a range: all rows, for export and for checking sums.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/table", operation_id = "getTable", tag = "containers",
    params(("id" = String, Path, description = "the container's id"), TableParameters),
    responses((status = 200, content((Table = "application/json"), (String = "text/csv"))),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn table(
    State(state): State<AppState>,
    Readable(id): Readable,
    parameters: Checked<Query<TableParameters>>,
) -> Result<Response, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let kind = parameters.kind.unwrap_or_default();
    let table = state.query.table(&id, kind, &parameters.ask()?).await?;
    Ok(match parameters.format.unwrap_or_default() {
        Format::Json => Json(table).into_response(),
        Format::Csv => (
            [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"table.csv\"",
                ),
            ],
            table.to_csv(),
        )
            .into_response(),
    })
}
