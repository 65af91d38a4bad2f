//! Extractors that authenticate a request.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use bubble_common::segment::ContainerId;

use super::error::{ApiError, Code};
use super::state::AppState;
use crate::auth::key;
use crate::auth::token::{self, Access};
use crate::clock;
use crate::span::id::{includes, is_full};
use crate::store::key::ApiKey;
use crate::store::resolve::{Meaning, resolve};

/// Seconds that access without a token is good for.
const OPEN_TTL: u64 = 86_400;

/// A request with a valid token; or any that changes nothing, if the server asks for no tokens.
#[derive(Debug, Clone)]
pub struct Reader {
    /// What may be read.
    pub access: Access,
    /// Expiry, seconds since the Unix epoch.
    pub expires: u64,
}

/// A request with an administrator's token.
#[derive(Debug, Clone)]
pub struct Admin;

/// The container of the path, which the request may read.
#[derive(Debug, Clone)]
pub struct Readable(pub ContainerId);

/// A request with a valid API key.
#[derive(Debug, Clone)]
pub struct Poster(pub ApiKey);

/// The word after `Bearer`, or after `token` as in the Python system.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, word) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    known.then(|| word.trim())
}

impl FromRequestParts<AppState> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        if state.open && [Method::GET, Method::HEAD].contains(&parts.method) {
            return Ok(Self {
                access: Access::Admin,
                expires: clock::now() + OPEN_TTL,
            });
        }
        let token = bearer(&parts.headers).ok_or_else(|| {
            ApiError::new(
                Code::Unauthorized,
                "a token is needed: send it as `Authorization: Bearer TOKEN` (`bubble-server token` makes one)",
            )
        })?;
        let (access, expires) = token::check(&state.secret, token).map_err(|reason| {
            ApiError::new(
                Code::Unauthorized,
                "the token is not valid, or has expired: ask for a new one",
            )
            .with_log(format!("token refused: {reason}"))
        })?;
        Ok(Self { access, expires })
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        match Reader::from_request_parts(parts, state).await?.access {
            Access::Admin => Ok(Self),
            Access::Container(_) => Err(ApiError::new(
                Code::Forbidden,
                "this token is for one container: an administrator's is needed",
            )),
        }
    }
}

impl FromRequestParts<AppState> for Readable {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let reader = Reader::from_request_parts(parts, state).await?;
        let path = RawPathParams::from_request_parts(parts, state).await.ok();
        let id = path
            .as_ref()
            .and_then(|path| path.iter().find(|(name, _)| *name == "id"))
            .map(|(_, id)| id)
            .unwrap_or_default();
        let own = match reader.access {
            Access::Admin => return Ok(Self(one(state, id).await?)),
            // What it reads is in the token, so nothing is ambiguous.
            Access::Container(own) if own.as_str() == id => {
                return Ok(Self(one_of(state, &own).await?));
            }
            Access::Container(own) => own,
        };
        let id = one(state, id).await?;
        match includes(&one_of(state, &own).await?, &id) {
            true => Ok(Self(id)),
            false => Err(ApiError::new(
                Code::Forbidden,
                "this token is for another container",
            )),
        }
    }
}

/// The container that an id in a request means.
pub(super) async fn one(state: &AppState, id: &str) -> Result<ContainerId, ApiError> {
    match resolve(&*state.store, id).await? {
        Meaning::One(id) => Ok(id),
        Meaning::Several(ids) => Err(ApiError::new(
            Code::Ambiguous,
            format!("several containers begin with {id}: {}", ids.join(", ")),
        )),
        Meaning::Invalid => Err(ApiError::new(
            Code::BadRequest,
            "the path has no valid container id",
        )),
    }
}

/// The container that a token was made for. A short id is the one that was stored under it first.
async fn one_of(state: &AppState, own: &ContainerId) -> Result<ContainerId, ApiError> {
    Ok(match is_full(own.as_str()) {
        true => match resolve(&*state.store, own.as_str()).await? {
            Meaning::One(id) => id,
            Meaning::Several(_) | Meaning::Invalid => own.clone(),
        },
        false => own.clone(),
    })
}

impl FromRequestParts<AppState> for Poster {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let own = parts
            .headers
            .get("x-api-key")
            .and_then(|key| key.to_str().ok());
        let text = own.or_else(|| bearer(&parts.headers)).ok_or_else(|| {
            ApiError::new(
                Code::Unauthorized,
                "an API key is needed: send it as `Authorization: Bearer KEY` (`bubble-server key create` makes one)",
            )
        })?;
        Self::by_key(state, text).await
    }
}

impl Poster {
    /// Checks this key.
    pub(super) async fn by_key(state: &AppState, text: &str) -> Result<Self, ApiError> {
        let key = key::check(&*state.store, text, clock::now()).await?;
        key.map(Self).ok_or_else(|| {
            ApiError::new(
                Code::Unauthorized,
                "unknown API key: `bubble-server key list` lists the keys",
            )
        })
    }
}
