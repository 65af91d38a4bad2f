//! Deleting containers and hosts.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::access::{Admin, one};
use super::error::{ApiError, Code, ErrorBody};
use super::parameters::Checked;
use super::state::AppState;
use crate::clock;
use crate::store::deletion::{self, Deletion};

/// Which containers.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AgeParameters {
    /// Those that were last seen longer ago than this, in seconds; one in a recording, that was posted
    /// longer ago.
    older_than: u64,
}

/// The containers that were deleted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct DeletedContainers {
    /// Their ids.
    deleted: Vec<String>,
}

/// Deletes a container that has ended. Its rows are removed within seconds of the answer.
#[utoipa::path(
    delete, path = "/api/v1/containers/{id}", operation_id = "deleteContainer", tag = "containers",
    params(("id" = String, Path, description = "the container's id")),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "several containers have this short id")),
    security(("token" = [])),
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    _admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = one(&state, &id).await?;
    match deletion::delete(&*state.store, &id, clock::now()).await? {
        Deletion::Deleted => Ok(StatusCode::NO_CONTENT),
        Deletion::Unknown => Err(ApiError::new(
            Code::NotFound,
            "there is no container with this id: /api/v1/containers lists them",
        )),
        Deletion::Running => Err(ApiError::new(
            Code::BadRequest,
            "the container still runs, and its agent would post it again: delete it after its end",
        )),
    }
}

/// Which host.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HostParameters {
    /// Only of this owner of keys; of all when not given.
    #[serde(default)]
    owner: Option<String>,
}

/// Deletes the report of a host that is gone. Its containers stay. An agent that still runs there
/// reports it again.
#[utoipa::path(
    delete, path = "/api/v1/hosts/{host}", operation_id = "deleteHost", tag = "hosts",
    params(("host" = String, Path, description = "the host's name"), HostParameters),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn delete_host(
    State(state): State<AppState>,
    _admin: Admin,
    Path(host): Path<String>,
    parameters: Checked<Query<HostParameters>>,
) -> Result<StatusCode, ApiError> {
    let Checked(Query(HostParameters { owner })) = parameters;
    match deletion::delete_hosts(&*state.store, &host, owner.as_deref()).await? {
        0 => Err(ApiError::new(
            Code::NotFound,
            "there is no host with this name: /api/v1/hosts lists them",
        )),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Deletes all old containers. Their rows are removed within seconds of the answer.
#[utoipa::path(
    delete, path = "/api/v1/containers", operation_id = "deleteContainers", tag = "containers",
    params(AgeParameters),
    responses((status = 200, body = DeletedContainers), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn delete_older(
    State(state): State<AppState>,
    _admin: Admin,
    parameters: Checked<Query<AgeParameters>>,
) -> Result<Json<DeletedContainers>, ApiError> {
    let Checked(Query(AgeParameters { older_than })) = parameters;
    let now = clock::now();
    let before = now.saturating_sub(older_than);
    let deleted = deletion::delete_older(&*state.store, before, now).await?;
    Ok(Json(DeletedContainers {
        deleted: deleted.iter().map(|id| id.as_str().to_owned()).collect(),
    }))
}
