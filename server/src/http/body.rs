//! Bodies of posts: complete, within the limit, and not too slow.
//!
//! A post takes one of the places for posts only when its body is complete. So whoever sends
//! slowly keeps nobody else out.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{ApiError, Code};
use super::observe::busy;
use super::shares::{Share, key_id};
use super::state::AppState;
use crate::memory::{MemoryError, Pool, Reservation};

/// Time that any body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Slowest rate at which more time is given, in bytes per second.
const MIN_BODY_RATE: usize = 16 << 10;
/// Memory that a body takes at first.
const MIN_ROOM: usize = 64 << 10;
/// Longest wait for a place.
const PLACE_TIMEOUT: Duration = Duration::from_secs(2);

/// A complete body, with its place among the posts.
pub(super) struct Whole {
    /// The body.
    pub(super) body: Vec<u8>,
    /// Held until the post is answered.
    pub(super) place: PostPlace,
}

/// The place of a post, and the memory of its body.
pub(super) struct PostPlace {
    _place: OwnedSemaphorePermit,
    _room: Room,
}

impl FromRequest<AppState> for Whole {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (body, room) = receive(request, state).await?;
        let place = timeout(PLACE_TIMEOUT, state.posts.clone().acquire_owned()).await;
        match place {
            Ok(Ok(place)) => Ok(Self {
                body,
                place: PostPlace {
                    _place: place,
                    _room: room,
                },
            }),
            _ => Err(busy()),
        }
    }
}

/// Receives a body within its limits.
async fn receive(request: Request, state: &AppState) -> Result<(Vec<u8>, Room), ApiError> {
    let limit = state.limits.body;
    if content_length(request.headers()).is_some_and(|announced| announced > limit) {
        return Err(too_large(limit));
    }
    let mut room = Room {
        memory: state.memory.bodies.clone(),
        held: None,
        share: state.bodies_by_key.of(key_id(&request)),
    };
    let began = Instant::now();
    let mut stream = request.into_body().into_data_stream();
    let mut body = Vec::new();
    loop {
        let earned = Duration::from_secs((body.len() / MIN_BODY_RATE) as u64);
        let next = timeout_at(began + BODY_TIMEOUT + earned, stream.next()).await;
        let chunk = match next {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => return Ok((body, room)),
            Ok(Some(Err(error))) => {
                let message = "the body ended before all of it was sent";
                return Err(ApiError::new(Code::BadRequest, message).with_log(error.to_string()));
            }
            Err(_) => {
                let message = format!(
                    "the body came slower than {MIN_BODY_RATE} bytes per second: send less at a time"
                );
                return Err(ApiError::new(Code::TooManyRequests, message));
            }
        };
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        room.fit(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
}

/// Memory for a body. It grows with what has arrived, as a client may announce
/// what it never sends.
struct Room {
    memory: Pool,
    held: Option<Reservation>,
    share: Share,
}

impl Room {
    /// Makes room for `bytes` in all. Does not wait: others may wait for what this one holds.
    fn fit(&mut self, bytes: usize) -> Result<(), ApiError> {
        let (limit, held) = (
            self.memory.size().min(self.share.limit()),
            self.held.as_ref().map_or(0, Reservation::bytes),
        );
        if bytes <= held {
            return Ok(());
        }
        // Not a matter of patience: the client has to post less at a time.
        if bytes > limit {
            return Err(MemoryError::TooLarge { limit }.into());
        }
        // Doubles, as the vector does.
        let doubled = held.max(MIN_ROOM).min(limit.saturating_sub(held));
        let more = (bytes - held).max(doubled);
        if !self.share.grow(more) {
            let message = "this key posts too much at a time: try again as Retry-After says";
            return Err(ApiError::new(Code::TooManyRequests, message));
        }
        let more = self.memory.try_reserve(more)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        Code::TooLarge,
        format!("the body is larger than {limit} bytes: post less at a time"),
    )
}
