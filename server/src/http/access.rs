//! Extractors that authenticate a request.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use bubble_common::segment::ContainerId;

use super::error::{ApiError, Code};
use super::state::AppState;
use crate::auth::key;
use crate::auth::token::{self, Access, Valid};
use crate::clock;
use crate::span::id::{SHORT_DIGITS, includes};
use crate::store::error::StoreError;
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
    /// The token; `None` if none was asked for.
    pub token: Option<Valid>,
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

/// Address of the client.
fn address(parts: &Parts) -> Option<IpAddr> {
    let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    connected.map(|ConnectInfo(address)| address.ip())
}

/// Refuses to look at a key or token of an address that has sent many wrong ones.
fn may_try(state: &AppState, address: Option<IpAddr>, credential: &str) -> Result<(), ApiError> {
    match state.attempts.may_try(address, credential) {
        true => Ok(()),
        false => Err(ApiError::new(
            Code::TooManyRequests,
            "too many wrong keys or tokens came from this address: try again as Retry-After says",
        )),
    }
}

/// Whether a token is revoked.
pub(super) async fn is_revoked(state: &AppState, token: &Valid) -> Result<bool, StoreError> {
    state.revoked.contains(&*state.store, &token.id).await
}

impl FromRequestParts<AppState> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        if state.open && [Method::GET, Method::HEAD].contains(&parts.method) {
            return Ok(Self {
                access: Access::Admin,
                expires: clock::now() + OPEN_TTL,
                token: None,
            });
        }
        let token = bearer(&parts.headers).ok_or_else(|| {
            ApiError::new(
                Code::Unauthorized,
                "a token is needed: send it as `Authorization: Bearer TOKEN` (`bubble-server token` makes one)",
            )
        })?;
        let address = address(parts);
        may_try(state, address, token)?;
        let mut checked = token::check(&state.secret, token);
        if let Ok(valid) = &checked
            && is_revoked(state, valid).await?
        {
            checked = Err("it is revoked".to_owned());
        }
        state.attempts.note(address, token, checked.is_ok());
        let valid = checked.map_err(|reason| {
            ApiError::new(
                Code::Unauthorized,
                "the token is not valid, or has expired: ask for a new one",
            )
            .with_log(format!("token refused: {reason}"))
        })?;
        Ok(Self {
            access: valid.access.clone(),
            expires: valid.expires,
            token: Some(valid),
        })
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
        let own = one_of(state, &own).await?;
        match resolve(&*state.store, id).await? {
            Meaning::One(id) if includes(&own, &id) => Ok(Self(id)),
            // Which others begin alike is not for this reader.
            Meaning::Several(_) if own.as_str().starts_with(id) => Ok(Self(own)),
            Meaning::Invalid => Err(invalid_id()),
            Meaning::One(_) | Meaning::Several(_) => Err(ApiError::new(
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
        Meaning::Invalid => Err(invalid_id()),
    }
}

fn invalid_id() -> ApiError {
    ApiError::new(Code::BadRequest, "the path has no valid container id")
}

/// The container that a token was made for. A short id is the one that was stored under it first.
async fn one_of(state: &AppState, own: &ContainerId) -> Result<ContainerId, ApiError> {
    if own.as_str().len() == SHORT_DIGITS {
        return Ok(own.clone());
    }
    Ok(match resolve(&*state.store, own.as_str()).await? {
        Meaning::One(id) => id,
        Meaning::Several(_) | Meaning::Invalid => own.clone(),
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
        Self::by_key(state, parts, text).await
    }
}

impl Poster {
    /// Checks this key.
    pub(super) async fn by_key(
        state: &AppState,
        parts: &Parts,
        text: &str,
    ) -> Result<Self, ApiError> {
        let address = address(parts);
        may_try(state, address, text)?;
        let key = key::check(&*state.store, text, clock::now()).await?;
        state.attempts.note(address, text, key.is_some());
        key.map(Self).ok_or_else(|| {
            ApiError::new(
                Code::Unauthorized,
                "unknown API key: `bubble-server key list` lists the keys",
            )
        })
    }
}
