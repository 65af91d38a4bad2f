//! `GET …/live`: the newest seconds as they arrive, by server-sent events.
//!
//! A stream is little more than a place in a queue: the bytes come from the feed of its container.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tracing::warn;

use super::access::{Readable, Reader, is_revoked};
use super::error::{ApiError, Code, ErrorBody};
use super::feed::{BUSY_DELAY, Feed, Slots};
use super::parameters::{Checked, LiveParameters};
use super::shares::{Share, token_of};
use super::state::AppState;
use crate::auth::revoked::REVOKED_TTL;
use crate::auth::token::Valid;
use crate::clock;
use crate::memory::MemoryError;
use crate::query::error::QueryError;

/// A comment is sent when nothing else was for this long, so that both ends notice a dead connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// The comment.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");
/// Events that wait for one client at most.
const MAX_QUEUED: usize = 2;

/// Follows a container: an event `slots` with a summary of the newest seconds
/// whenever there are some, an event `end` when the container has ended.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/live", operation_id = "followContainer", tag = "containers",
    params(("id" = String, Path, description = "the container's id"), LiveParameters),
    responses((status = 200, content_type = "text/event-stream", body = String,
            description = "`event: slots` with a Summary as data; `event: end`"),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn follow(
    State(state): State<AppState>,
    readable: Readable,
    reader: Reader,
    parameters: Checked<Query<LiveParameters>>,
    request: Request,
) -> Result<Response, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let ask = readable.limit(parameters.ask()?);
    // Checked here, while the answer can still be an error.
    let container = state.query.container(&readable.id).await?;
    let permit = state.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(
            Code::TooManyRequests,
            "too many live streams are open: try again later",
        )
    })?;
    let mut share = state.streams_by_token.of(token_of(&request).to_owned());
    // Without tokens, all have the same.
    if !state.open && !share.grow(1) {
        return Err(ApiError::new(
            Code::TooManyRequests,
            "too many live streams are open with this token: close some",
        ));
    }
    let feed = state
        .feeds
        .watch(&state.query, &state.live, &state.attention, &container, ask);
    let (events, stream) = mpsc::channel(MAX_QUEUED);
    tokio::spawn(run(state, feed, events, reader.token, (permit, share)));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        // nginx would wait until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(stream))).into_response())
}

type Events = mpsc::Sender<Result<Bytes, Infallible>>;

async fn run(
    state: AppState,
    feed: Arc<Feed>,
    events: Events,
    token: Option<Valid>,
    _places: (OwnedSemaphorePermit, Share),
) {
    state.metrics.live_streams.inc();
    let mut stop = state.stop.clone();
    tokio::select! {
        () = forward(&feed, &events) => {}
        () = events.closed() => {}
        () = invalid(&state, token) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    state.metrics.live_streams.dec();
}

/// Returns when the token is no longer valid: it has expired or is revoked.
async fn invalid(state: &AppState, token: Option<Valid>) {
    let Some(token) = token else {
        return std::future::pending().await;
    };
    loop {
        let left = token.ends().saturating_sub(clock::now());
        if left == 0 {
            return;
        }
        tokio::time::sleep(REVOKED_TTL.min(Duration::from_secs(left))).await;
        match is_revoked(state, &token).await {
            Ok(false) => {}
            Ok(true) => return,
            // The next query fails as well, and ends the stream.
            Err(error) => warn!(%error, "cannot look for revoked tokens"),
        }
    }
}

/// Forwards a feed to a client until one of them ends.
async fn forward(feed: &Feed, events: &Events) {
    // Before the start is made, so that no event in between is missed.
    let mut feeds = feed.subscribe();
    let mut behind = true;
    loop {
        let received = match behind {
            true => Ok(Ok(match feed.start().await {
                Ok(start) => Some(start),
                Err(QueryError::Memory(MemoryError::Busy)) => {
                    // It starts later. The comment tells both ends that the connection is alive.
                    if events.send(Ok(KEEP_ALIVE)).await.is_err() {
                        return;
                    }
                    sleep(BUSY_DELAY).await;
                    continue;
                }
                Err(error) => {
                    warn!(%error, "a live stream ended");
                    return;
                }
            })),
            false => timeout(KEEP_ALIVE_INTERVAL, feeds.recv()).await,
        };
        behind = false;
        let sent = match received {
            Ok(Ok(Some(Slots { event, is_last }))) => {
                let sent = events.send(Ok(event)).await.is_ok();
                if sent && is_last {
                    let end = Bytes::from_static(b"event: end\ndata: {}\n\n");
                    // Fails if the client is gone.
                    let _ = events.send(Ok(end)).await;
                    return;
                }
                sent
            }
            Ok(Err(RecvError::Lagged(_))) => {
                behind = true;
                true
            }
            Ok(Ok(None) | Err(RecvError::Closed)) => return,
            Err(_) => events.send(Ok(KEEP_ALIVE)).await.is_ok(),
        };
        if !sent {
            return;
        }
    }
}
