//! `POST /event` and `POST /event/api/KEY`: the posts of the chisel.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Path, Query, State};
use axum::http::header;
use axum::http::request::Parts;

use crate::http::access::Poster;
use crate::http::body::Whole;
use crate::http::error::{ApiError, Code};
use crate::http::parameters::{Checked, PostParameters};
use crate::http::state::AppState;
use crate::ingest::IngestError;
use crate::ingest::lanes::Sender;

/// Longest text that identifies a sender, in bytes.
const MAX_PEER: usize = 64;

/// The sender. Its key is in the path, or the second word of `Authorization`; the first word does
/// not matter.
pub(super) struct Chisel(Sender);

impl FromRequestParts<AppState> for Chisel {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let in_path = Path::<String>::from_request_parts(parts, state).await;
        let header = |name| parts.headers.get(name)?.to_str().ok();
        let in_header = header(header::AUTHORIZATION)
            .and_then(|text| text.split_once(' '))
            .map(|(_, key)| key.trim().to_owned());
        let key = in_path
            .ok()
            .map(|Path(key)| key)
            .or(in_header)
            .ok_or_else(|| {
                ApiError::new(
                    Code::Unauthorized,
                    "an API key is needed: post to /event/api/KEY, or send `Authorization: Bearer KEY`",
                )
            })?;
        let Poster(key) = Poster::by_key(state, parts, &key).await?;
        Ok(Self(Sender {
            key,
            peer: peer(parts),
        }))
    }
}

/// Address of the sender. It only tells hosts apart, so a client with the key may set it.
fn peer(parts: &Parts) -> String {
    let forwarded = parts
        .headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(',').next())
        .map(str::trim)
        .filter(|text| (1..=MAX_PEER).contains(&text.len()));
    let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    match (forwarded, connected) {
        (Some(text), _) => text.to_owned(),
        (None, Some(ConnectInfo(address))) => address.ip().to_string(),
        (None, None) => String::new(),
    }
}

/// Stores a post. The answer is that of the Python system, unless something is refused.
pub(super) async fn post(
    State(state): State<AppState>,
    Chisel(sender): Chisel,
    parameters: Checked<Query<PostParameters>>,
    Whole { body, place }: Whole,
) -> Result<&'static str, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let recording = parameters.recording()?;
    // Goes on if the client is gone: what it is about to write depends on what it has read.
    let storing = tokio::spawn(async move {
        let receipt = state.ingest.event(body, sender, recording).await;
        drop(place);
        receipt
    });
    let receipt = storing.await.map_err(|_| IngestError::Panicked)??;
    match receipt.refused.first() {
        None => Ok("ok"),
        Some(first) => Err(ApiError::new(
            Code::Malformed,
            format!(
                "{} of the containers in this body are not stored: {}",
                receipt.refused.len(),
                first.reason
            ),
        )),
    }
}
