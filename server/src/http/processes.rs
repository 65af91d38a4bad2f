//! Answers that show single processes, files and peers over time, and comparisons.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::Response;

use super::access::{self, Readable, Reader};
use super::error::{ApiError, Code, ErrorBody};
use super::observe::{JSON, encoded};
use super::parameters::{
    Checked, CompareParameters, LanesParameters, RangeParameters, SeriesParameters,
};
use super::state::AppState;
use crate::auth::token::Access;
use crate::query::compare::Comparison;
use crate::query::lanes::Lanes;
use crate::query::neighbours::Neighbours;
use crate::query::table::TableSeries;
use crate::store::container::Container;

/// All processes of a range over time: start, end, parent, exit, and CPU time by slot and core.
/// The answer is bounded and says what it folded.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/lanes", operation_id = "getLanes", tag = "containers",
    params(("id" = String, Path, description = "the container's id"), LanesParameters),
    responses((status = 200, body = Lanes), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn lanes(
    State(state): State<AppState>,
    readable: Readable,
    parameters: Checked<Query<LanesParameters>>,
) -> Result<Response, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let ask = readable.limit(parameters.ask()?);
    let (slots, limit) = (parameters.slots(), parameters.limit());
    let lanes = state.query.lanes(&readable.id, &ask, slots, limit);
    Ok(encoded(lanes.await?, JSON))
}

/// What the rows of a table did over time: sums by slot of all rows that match the filter, such as
/// those of one file or one peer.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/series", operation_id = "getSeries", tag = "containers",
    params(("id" = String, Path, description = "the container's id"), SeriesParameters),
    responses((status = 200, body = TableSeries), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn series(
    State(state): State<AppState>,
    readable: Readable,
    parameters: Checked<Query<SeriesParameters>>,
) -> Result<Json<TableSeries>, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let ask = readable.limit(parameters.ask()?);
    let filter = parameters.filter.unwrap_or_default();
    let series = state
        .query
        .series(&readable.id, parameters.kind, &ask, filter);
    Ok(Json(series.await?))
}

/// Which containers the peers of a range are, at the same time: those that the token may read. A peer
/// behind a proxy, a published port or the address of a Kubernetes service is not found.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/neighbours", operation_id = "getNeighbours", tag = "containers",
    params(("id" = String, Path, description = "the container's id"), RangeParameters),
    responses((status = 200, body = Neighbours), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn neighbours(
    State(state): State<AppState>,
    reader: Reader,
    readable: Readable,
    parameters: Checked<Query<RangeParameters>>,
) -> Result<Json<Neighbours>, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let ask = readable.limit(parameters.ask()?);
    let may_read = move |other: &Container| match &reader.access {
        Access::Admin => true,
        Access::Container(own) => other.is_part_of(own),
        Access::Link(_) => false,
    };
    let neighbours = state.query.neighbours(&readable.id, &ask, may_read);
    Ok(Json(neighbours.await?))
}

/// In what two containers differ over their whole lives: command by command, file by file and peer
/// by peer, sorted by what differs most. Both must be readable.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/compare", operation_id = "compareContainers", tag = "containers",
    params(("id" = String, Path, description = "the container's id"), CompareParameters),
    responses((status = 200, body = Comparison), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn compare(
    State(state): State<AppState>,
    reader: Reader,
    Readable { id, .. }: Readable,
    parameters: Checked<Query<CompareParameters>>,
) -> Result<Json<Comparison>, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let other = access::one(&state, &parameters.with).await;
    let other = match (&reader.access, other) {
        (Access::Admin, other) => other?,
        (Access::Container(own), Ok(other)) if access::may_read(&state, own, &other).await? => {
            other
        }
        // Whether it exists is not for this reader.
        (Access::Container(_) | Access::Link(_), _) => {
            return Err(ApiError::new(
                Code::Forbidden,
                "this token is not for the container to compare with",
            ));
        }
    };
    let limit = parameters.limit();
    Ok(Json(state.query.compare(&id, &other, limit).await?))
}
