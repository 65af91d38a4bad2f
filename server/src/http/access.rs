//! Extractors that authenticate a request.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use bubble_common::segment::ContainerId;
use bubble_common::short_id::SHORT_DIGITS;

use super::error::{ApiError, Code};
use super::scope;
use super::state::AppState;
use crate::auth::key;
use crate::auth::token::{self, Access, Refusal, Valid};
use crate::clock;
use crate::query::Ask;
use crate::span::extent::Extent;
use crate::span::id::{includes, is_of_sortable_job, whole_job};
use crate::store::error::StoreError;
use crate::store::key::ApiKey;
use crate::store::resolve::{Meaning, resolve};

/// Header with an API key.
const KEY_HEADER: &str = "x-api-key";

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
pub struct Readable {
    /// Its id.
    pub id: ContainerId,
    /// The part of its life that may be read, if the request has the token of a link. All answers must be
    /// limited to it.
    pub extent: Option<Extent>,
}

impl Readable {
    fn all(id: ContainerId) -> Self {
        Self { id, extent: None }
    }

    /// Limits a query to what may be read.
    pub(super) fn limit(&self, ask: Ask) -> Ask {
        Ask {
            extent: self.extent.clone(),
            ..ask
        }
    }
}

/// A request with a valid API key.
#[derive(Debug, Clone)]
pub struct Poster(pub ApiKey);

/// A request that may post a recording: with an API key, or with an administrator's token.
#[derive(Debug, Clone)]
pub struct Uploader {
    /// The key, or what stands for one: the token.
    pub key: ApiKey,
    /// Whether it is an administrator, who may post about containers of any owner.
    pub is_administrator: bool,
}

/// Owner of recordings that administrators post.
const ADMINISTRATOR: &str = "administrator";

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

/// Whether a token is revoked, or another one that it ends with.
pub(super) async fn is_revoked(state: &AppState, token: &Valid) -> Result<bool, StoreError> {
    if let Access::Link(link) = &token.access
        && let Some(by) = &link.by
        && state.revoked.contains(&*state.store, by).await?
    {
        return Ok(true);
    }
    state.revoked.contains(&*state.store, &token.id).await
}

/// Checks a token: its signature and time, and whether it is revoked.
async fn checked(state: &AppState, parts: &Parts, text: &str) -> Result<Valid, ApiError> {
    let address = address(parts);
    may_try(state, address, text)?;
    let refused = |code, message, reason: String| {
        Err(ApiError::new(code, message).with_log(format!("token refused: {reason}")))
    };
    let reason = match token::check(&state.secret, text) {
        Ok(valid) if !is_revoked(state, &valid).await? => {
            state.attempts.note(address, text, true);
            return Ok(valid);
        }
        // Whoever has a link that we signed does not guess.
        Ok(Valid {
            access: Access::Link(_),
            ..
        }) => {
            return refused(
                Code::LinkRevoked,
                "this link was revoked by whoever shared it: ask them for a new one",
                "the link is revoked".to_owned(),
            );
        }
        Err(refusal @ Refusal::LinkExpired(_)) => {
            return refused(
                Code::LinkExpired,
                "this link has expired: ask whoever shared it for a new one",
                refusal.to_string(),
            );
        }
        Ok(_) => "it is revoked".to_owned(),
        Err(refusal) => refusal.to_string(),
    };
    state.attempts.note(address, text, false);
    refused(
        Code::Unauthorized,
        "the token is not valid, or has expired: ask for a new one",
        reason,
    )
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
        let valid = checked(state, parts, token).await?;
        if let Access::Link(link) = &valid.access {
            scope::check(parts, link)?;
        }
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
            Access::Container(_) | Access::Link(_) => Err(no_administrator()),
        }
    }
}

fn no_administrator() -> ApiError {
    ApiError::new(
        Code::Forbidden,
        "this token is for one container: an administrator's is needed",
    )
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
        match reader.access {
            Access::Admin => Ok(Self::all(one(state, id).await?)),
            Access::Container(own) => Ok(Self::all(own_one(state, &own, id).await?)),
            Access::Link(link) => {
                let found = own_one(state, &link.container, id).await?;
                // A link to a job shows no steps of it: they are other containers.
                if found != one_of(state, &link.container).await? {
                    return Err(another_container());
                }
                Ok(Self {
                    id: found,
                    extent: Some(link.extent),
                })
            }
        }
    }
}

/// The container that `id` means, if a token for `own` may read it.
async fn own_one(state: &AppState, own: &ContainerId, id: &str) -> Result<ContainerId, ApiError> {
    let is_own = own.as_str() == id;
    let own = one_of(state, own).await?;
    // What it reads is in the token, so nothing is ambiguous.
    if is_own {
        return Ok(own);
    }
    match resolve(&*state.store, id).await? {
        Meaning::One(id) if may_read(state, &own, &id).await? => Ok(id),
        // Which others begin alike is not for this reader.
        Meaning::Several(_) if own.as_str().starts_with(id) => Ok(own),
        Meaning::Invalid => Err(invalid_id()),
        Meaning::One(_) | Meaning::Several(_) => Err(another_container()),
    }
}

/// Whether a token for `own` may read the container `id`: it is its own, or a step of its job.
pub(super) async fn may_read(
    state: &AppState,
    own: &ContainerId,
    id: &ContainerId,
) -> Result<bool, ApiError> {
    if includes(own, id) {
        return Ok(true);
    }
    if whole_job(own).is_none() || !is_of_sortable_job(id) {
        return Ok(false);
    }
    let found = state.store.container(id).await?;
    Ok(found.is_some_and(|step| step.is_part_of(own)))
}

fn another_container() -> ApiError {
    ApiError::new(Code::Forbidden, "this token is for another container")
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
            .get(KEY_HEADER)
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

impl FromRequestParts<AppState> for Uploader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let has_token = bearer(&parts.headers).is_some_and(token::has_form);
        if parts.headers.contains_key(KEY_HEADER) || !has_token {
            let Poster(key) = Poster::from_request_parts(parts, state).await?;
            return Ok(Self {
                key,
                is_administrator: false,
            });
        }
        let reader = Reader::from_request_parts(parts, state).await?;
        let (Access::Admin, Some(token)) = (reader.access, reader.token) else {
            return Err(no_administrator());
        };
        Ok(Self {
            key: ApiKey {
                id: token.id,
                hash: [0; 32],
                owner: ADMINISTRATOR.to_owned(),
                created: 0,
                last_used: 0,
            },
            is_administrator: true,
        })
    }
}
