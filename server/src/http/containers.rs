//! Containers: the list, and the answers about one.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bubble_common::segment::ContainerId;
use serde::{Deserialize, Serialize};

use super::access::{Readable, Reader};
use super::error::{ApiError, Code, ErrorBody};
use super::observe::{JSON, encoded};
use super::parameters::{AskParameters, Checked, Format, TableParameters};
use super::state::AppState;
use crate::auth::token::Access;
use crate::clock;
use crate::query::item::ContainerItem;
use crate::query::life::Life;
use crate::query::output::write_json;
use crate::query::summary::Summary;
use crate::query::table::{Arrangement, ContainerRows, GroupRow, Order, RowSums, Table};
use crate::span::id::is_of_job;
use crate::store::container::State as ContainerState;
use crate::store::index::{ContainerFilter, Sort};

/// Filter and order of the list.
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
    /// `activity` (the default), `name`, `cpu`, `memory` or `bytes`; or columns, separated by commas:
    /// `name`, `image`, `host`, `state`, `started`, `ended`, `cpu_now`, `cpu_ns`, `memory_now`,
    /// `memory_peak`, `bytes`, ….
    #[serde(default)]
    sort: Option<String>,
    /// Direction of the order; without it numbers and times start with the highest.
    #[serde(default)]
    order: Option<Order>,
    /// Words that must all match: `label:team=ml` (exactly this label), `label:team` or `label:*eam=m*`
    /// (a part of one), `image:postgres`, `host:node0*`, `oom` (killed because memory ran out),
    /// `ended:<12h`, `memory_peak:>1GiB`, or text in any column.
    #[serde(default)]
    filter: Option<String>,
    /// Columns, separated by commas: `image`, `host`, `state`, `label:team`, …. Containers that agree
    /// in all of them become one of the `groups`, with their sums.
    #[serde(default)]
    group: Option<String>,
    /// Containers to skip, after sorting.
    #[serde(default)]
    offset: Option<usize>,
    /// At most how many, 1 to 1,000; 100 when not given.
    #[serde(default)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// A page of the list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ContainerList {
    /// The containers of this page.
    containers: Vec<ContainerItem>,
    /// The groups of this page, instead of containers, if the list is grouped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupRow>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
    /// How many containers, or groups, there are on all pages.
    total: u64,
    /// The containers on other pages, with their sums; null without `filter` and `order`, if `sort`
    /// names no column.
    rest: Option<RowSums>,
}

impl ContainerList {
    /// The page of an arranged list that begins at `offset`.
    fn of(rows: ContainerRows, offset: usize) -> Self {
        let end = offset.saturating_add(rows.containers.len() + rows.groups.len());
        Self {
            next: ((end as u64) < rows.total.rows && end > offset).then(|| end.to_string()),
            total: rows.total.rows,
            rest: Some(rows.rest),
            containers: rows.containers,
            groups: rows.groups,
        }
    }
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
    reader: Reader,
    parameters: Checked<Query<ListParameters>>,
) -> Result<Json<ContainerList>, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let now = clock::now();
    match reader.access {
        Access::Admin => {}
        Access::Container(own) => return list_job(&state, &own, now).await,
        Access::Link(_) => {
            return Err(ApiError::new(
                Code::Forbidden,
                "this link shows one container and nothing else",
            ));
        }
    }
    let wanted_state = match parameters.state.as_deref() {
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
        Some(cursor) => cursor.parse().map_err(|_| {
            ApiError::new(
                Code::BadRequest,
                "invalid cursor: take the `next` of an answer",
            )
        })?,
    };
    let offset = parameters.offset.unwrap_or(offset);
    let sort = parameters.sort.as_deref().unwrap_or_default();
    let known = Sort::from_name(sort);
    let limit = parameters.limit.unwrap_or(100).clamp(1, 1_000);
    let group = parameters.group.filter(|group| !group.is_empty());
    let plain = parameters.filter.is_none() && parameters.order.is_none() && group.is_none();
    let by = Arrangement {
        // Of groups, the largest comes first by default.
        sort: match &parameters.sort {
            None if group.is_some() => None,
            _ => Some(known.map_or_else(|| sort.to_owned(), |sort| sort.column().to_owned())),
        },
        order: parameters.order,
        filter: parameters.filter.unwrap_or_default(),
        group,
        offset,
        limit: Some(limit),
        now,
    };
    let filter = ContainerFilter {
        search: parameters.search.filter(|text| !text.is_empty()),
        host: parameters.host.filter(|text| !text.is_empty()),
        state: wanted_state,
        now,
        sort: known.unwrap_or_default(),
        limit,
        offset,
    };
    if !plain || known.is_none() {
        let rows = state.query.list(filter, by).await?;
        return Ok(Json(ContainerList::of(rows, offset)));
    }
    let page = state.store.containers(&filter).await?;
    let end = offset + page.containers.len();
    Ok(Json(ContainerList {
        containers: page
            .containers
            .iter()
            .map(|container| ContainerItem::new(container, now))
            .collect(),
        groups: Vec::new(),
        next: ((end as u64) < page.total && end > offset).then(|| end.to_string()),
        total: page.total,
        rest: None,
    }))
}

/// Lists the steps of a Slurm job, which is all that its token may list.
async fn list_job(
    state: &AppState,
    own: &ContainerId,
    now: u64,
) -> Result<Json<ContainerList>, ApiError> {
    if !is_of_job(own) {
        return Err(ApiError::new(
            Code::Forbidden,
            "this token is for one container: an administrator's is needed",
        ));
    }
    let steps = state.query.parts_of(own).await?;
    Ok(Json(ContainerList {
        total: steps.len() as u64,
        containers: steps
            .iter()
            .map(|step| ContainerItem::new(step, now))
            .collect(),
        groups: Vec::new(),
        next: None,
        rest: None,
    }))
}

/// A container, from the index.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}", operation_id = "getContainer", tag = "containers",
    params(("id" = String, Path, description = "the container's id, or 12 to 64 digits that its full id begins with")),
    responses((status = 200, body = ContainerItem), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn get(
    State(state): State<AppState>,
    Readable { id, extent }: Readable,
) -> Result<Json<ContainerItem>, ApiError> {
    let container = state.query.container(&id).await?;
    let item = ContainerItem::new(&container, clock::now());
    Ok(Json(item.within(extent.as_ref())))
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
    readable: Readable,
    parameters: Checked<Query<AskParameters>>,
) -> Result<Response, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let ask = readable.limit(parameters.ask()?);
    let summary = state
        .query
        .summary(&readable.id, &ask, write_json::<Summary>);
    Ok(encoded(summary.await?, JSON))
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
    Readable { id, extent }: Readable,
) -> Result<Json<Life>, ApiError> {
    Ok(Json(state.query.life(&id, extent.as_ref()).await?))
}

/// A table over a range: all rows, or filtered, grouped, sorted and cut, in this order. What the
/// cut leaves out is in `rest`; in CSV it is the last line.
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
    readable: Readable,
    parameters: Checked<Query<TableParameters>>,
) -> Result<Response, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let kind = parameters.kind.unwrap_or_default();
    let ask = readable.limit(parameters.ask()?);
    let format = parameters.format.unwrap_or_default();
    let arrangement = parameters.arrangement()?;
    let table = state
        .query
        .encoded_table(
            &readable.id,
            kind,
            &ask,
            arrangement,
            move |table, output| match format {
                Format::Json => write_json(table, output),
                Format::Csv => table.write_csv(output),
            },
        )
        .await?;
    Ok(match format {
        Format::Json => encoded(table, JSON),
        Format::Csv => {
            let name = HeaderValue::from_static("attachment; filename=\"table.csv\"");
            let mut answer = encoded(table, "text/csv; charset=utf-8");
            let headers = answer.headers_mut();
            headers.insert(header::CONTENT_DISPOSITION, name);
            answer
        }
    })
}
