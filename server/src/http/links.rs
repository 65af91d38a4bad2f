//! Shared links: make, list and revoke.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use bubble_common::segment::ContainerId;
use serde::{Deserialize, Serialize};

use super::access::{Reader, may_read, one};
use super::error::{ApiError, Code, ErrorBody};
use super::parameters::Checked;
use super::state::AppState;
use crate::auth::link::{self, LinkError, MAX_DAYS};
use crate::auth::token::{Access, Link};
use crate::clock;
use crate::span::extent::Extent;
use crate::span::retention::Retention;
use crate::store::token::IssuedToken;

/// A link to make.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewShare {
    /// Id of the container.
    container: String,
    /// Start of the range, seconds since the Unix epoch; without it and `to` the whole life.
    #[serde(default)]
    from: Option<f64>,
    /// End of the range. The link shows whole minutes: the range is rounded outwards.
    #[serde(default)]
    to: Option<f64>,
    /// Days until the link expires, 1 to 30. A link that is made with the token of a container
    /// expires with that token at the latest.
    days: u64,
}

/// A link, without its token.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ShareItem {
    /// Its id, by which it is revoked.
    id: String,
    /// The container.
    container: String,
    /// Start of the range that it shows, seconds since the Unix epoch; null for the whole life.
    from: Option<f64>,
    /// End of the range.
    to: Option<f64>,
    /// When it was made.
    created: f64,
    /// When it expires.
    expires: f64,
    /// Whether it was revoked.
    revoked: bool,
}

/// A link that was made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct CreatedShare {
    /// The link.
    share: ShareItem,
    /// Its token. It is shown once.
    token: String,
    /// Path and fragment that open it: to be appended to the address of the server.
    path: String,
}

/// The links that have not expired.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ShareList {
    /// Newest first.
    shares: Vec<ShareItem>,
    /// What links show after some time.
    retention: Stored,
}

/// How long each resolution is stored, in seconds. Days are stored for ever, recordings too.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Stored {
    /// Seconds.
    seconds: u64,
    /// Minutes.
    minutes: u64,
    /// Hours.
    hours: u64,
}

/// Which links.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareParameters {
    /// Only those of this container.
    #[serde(default)]
    container: Option<String>,
}

impl From<IssuedToken> for ShareItem {
    fn from(link: IssuedToken) -> Self {
        let span = link.shared.as_ref().and_then(Extent::span);
        Self {
            from: span.map(|span| span.start as f64),
            to: span.map(|span| span.end as f64),
            id: link.id,
            container: link.container,
            created: link.created as f64,
            expires: link.expires as f64,
            revoked: link.revoked,
        }
    }
}

impl From<Retention> for Stored {
    fn from(retention: Retention) -> Self {
        Self {
            seconds: retention.seconds,
            minutes: retention.minutes,
            hours: retention.hours,
        }
    }
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Store(error) => error.into(),
            LinkError::Token(error) => {
                Self::new(Code::Internal, "the link cannot be signed").with_log(error.to_string())
            }
        }
    }
}

/// Whether the token may share the container `id`.
async fn may_share(state: &AppState, access: &Access, id: &ContainerId) -> Result<bool, ApiError> {
    match access {
        Access::Admin => Ok(true),
        Access::Container(own) => may_read(state, own, id).await,
        Access::Link(_) => Ok(false),
    }
}

/// Makes a link that shows one container, or a range of its life, to anyone who has it. It ends when it
/// expires, when it is revoked, and with the token of a container by which it was made.
#[utoipa::path(
    post, path = "/api/v1/shares", operation_id = "createShare", tag = "access",
    request_body = NewShare,
    responses((status = 201, body = CreatedShare), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn create(
    State(state): State<AppState>,
    reader: Reader,
    body: Result<Json<NewShare>, JsonRejection>,
) -> Result<(StatusCode, Json<CreatedShare>), ApiError> {
    let Json(new) =
        body.map_err(|rejection| ApiError::new(Code::BadRequest, rejection.body_text()))?;
    if !(1..=MAX_DAYS).contains(&new.days) {
        let message = format!("days is a number from 1 to {MAX_DAYS}");
        return Err(ApiError::new(Code::BadRequest, message));
    }
    let id = one(&state, &new.container).await?;
    if !may_share(&state, &reader.access, &id).await? {
        return Err(ApiError::new(
            Code::Forbidden,
            "this token is for another container",
        ));
    }
    let extent = extent(new.from, new.to)?;
    // A link to nothing would show nothing for as long as it is valid.
    let container = state.query.container(&id).await?;
    let expires = clock::now() + new.days * 86_400;
    let (expires, by) = match (&reader.access, reader.token) {
        (Access::Container(_), Some(token)) => (expires.min(token.expires), Some(token.id)),
        _ => (expires, None),
    };
    let link = Link {
        container: container.id,
        extent,
        by,
    };
    let made = link::make(&*state.store, &state.secret, link, expires).await?;
    let created = CreatedShare {
        share: made.issued.into(),
        token: made.token,
        path: format!("{}{}", state.base, made.path),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// The part of the life that a new link shows.
fn extent(from: Option<f64>, to: Option<f64>) -> Result<Extent, ApiError> {
    let bad = || {
        ApiError::new(
            Code::BadRequest,
            "from and to are a range in seconds since the Unix epoch; without both, the link shows the \
             whole life",
        )
    };
    match (from, to) {
        (None, None) => Ok(Extent::Life),
        // `as` saturates.
        (Some(from), Some(to)) if from >= 0.0 && to > from => {
            Extent::around(from.floor() as u64, to.ceil() as u64).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

/// Lists links. Expired ones are forgotten.
#[utoipa::path(
    get, path = "/api/v1/shares", operation_id = "listShares", tag = "access",
    params(ShareParameters),
    responses((status = 200, body = ShareList), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn list(
    State(state): State<AppState>,
    reader: Reader,
    parameters: Checked<Query<ShareParameters>>,
) -> Result<Json<ShareList>, ApiError> {
    let Checked(Query(ShareParameters { container })) = parameters;
    let only = match container {
        Some(text) => Some(one(&state, &text).await?),
        None => None,
    };
    let mut shares = Vec::new();
    for link in link::list(&*state.store).await? {
        if let Ok(shared) = ContainerId::new(&link.container)
            && only.as_ref().is_none_or(|only| *only == shared)
            && may_share(&state, &reader.access, &shared).await?
        {
            shares.push(ShareItem::from(link));
        }
    }
    Ok(Json(ShareList {
        shares,
        retention: state.query.retention().into(),
    }))
}

/// Revokes a link. Servers refuse it within 5 seconds, and end its streams.
#[utoipa::path(
    delete, path = "/api/v1/shares/{share}", operation_id = "revokeShare", tag = "access",
    params(("share" = String, Path, description = "the link's id")),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn revoke(
    State(state): State<AppState>,
    reader: Reader,
    Path(share): Path<String>,
) -> Result<StatusCode, ApiError> {
    let no_link = || {
        ApiError::new(
            Code::NotFound,
            "there is no link with this id: /api/v1/shares lists them",
        )
    };
    let found = link::find(&*state.store, &share).await?;
    let link = found.ok_or_else(no_link)?;
    let shared = ContainerId::new(&link.container).map_err(|_| no_link())?;
    if !may_share(&state, &reader.access, &shared).await? {
        return Err(no_link());
    }
    state.store.revoke_token(&link.id, link.expires).await?;
    state.revoked.forget().await;
    Ok(StatusCode::NO_CONTENT)
}
