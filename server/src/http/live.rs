//! `GET …/live`: the newest seconds as they come, by server-sent events.
//!
//! What this server itself took is told at once. What another server took is looked for in
//! the store, each second, of containers that somebody follows.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use bubble_common::segment::ContainerId;
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tracing::warn;

use super::access::Readable;
use super::error::{ApiError, Code, ErrorBody};
use super::parameters::{Checked, LiveParameters};
use super::state::AppState;
use crate::clock;
use crate::query::Ask;
use crate::query::error::QueryError;
use crate::query::item::ContainerItem;
use crate::query::summary::Summary;
use crate::store::container::State as ContainerState;

/// What one who joins gets first: so many of the newest seconds.
const BACK: f64 = 10.0;
/// Posts of several sources for the same second become one event when they come within this time.
const TOGETHER: Duration = Duration::from_millis(50);
/// How often the store is asked whether another server took something.
const LOOK: Duration = Duration::from_secs(1);
/// At most so many seconds are made up for after a stream fell behind.
const CATCH_UP: f64 = 60.0;

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
    Readable(id): Readable,
    parameters: Checked<Query<LiveParameters>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let ask = parameters.ask()?;
    // Refused here, while an error can still be answered as one.
    state.query.container(&id).await?;
    let place = state.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(
            Code::TooManyRequests,
            "too many live streams are open: try again later",
        )
    })?;
    let (events, stream) = mpsc::channel(16);
    tokio::spawn(run(state, id, ask, events, place));
    Ok(Sse::new(ReceiverStream::new(stream)).keep_alive(KeepAlive::default()))
}

type Events = mpsc::Sender<Result<Event, Infallible>>;

async fn run(
    state: AppState,
    id: ContainerId,
    ask: Ask,
    events: Events,
    _place: OwnedSemaphorePermit,
) {
    state.metrics.live_streams.inc();
    let mut stop = state.stop.clone();
    tokio::select! {
        result = feed(&state, &id, ask, &events) => {
            if let Err(error) = result {
                warn!(%error, container = %id, "a live stream ended");
            }
        }
        () = events.closed() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    state.metrics.live_streams.dec();
}

async fn feed(
    state: &AppState,
    id: &ContainerId,
    ask: Ask,
    events: &Events,
) -> Result<(), QueryError> {
    // Before the first question: what comes in between is then in one of them, or in both.
    let mut notices = state.live.listen();
    let last = state.query.container(id).await?.last_seen as f64;
    let (mut from, mut to) = (last - BACK, last);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let ask = Ask {
            from: Some(from.max(0.0)),
            to: Some(to.max(1.0)),
            ..ask.clone()
        };
        let summary = state.query.summary(id, &ask).await?;
        let ended = summary.container.state == ContainerState::Ended;
        // Read before the slots were: what comes in between is seen again, and not missed.
        let known = Known::of(&summary.container);
        if !send(events, &summary).await {
            return Ok(());
        }
        if ended {
            // Fails when nobody listens any more.
            let _ = events
                .send(Ok(Event::default().event("end").data("{}")))
                .await;
            return Ok(());
        }
        (from, to) = loop {
            let notice = tokio::select! {
                notice = notices.recv() => notice,
                _ = look.tick() => {
                    let container = state.query.container(id).await?;
                    let now = Known::of(&ContainerItem::new(&container, clock::now()));
                    if now == known {
                        continue;
                    }
                    // It may be of a second that is known already, by another source.
                    break (known.last_seen.min(now.last_seen) - BACK, now.last_seen);
                }
            };
            match notice {
                Ok(notice) if notice.container == *id => {
                    break (notice.span.start as f64, notice.span.end as f64);
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    let last = state.query.container(id).await?.last_seen as f64;
                    break (to.max(last - CATCH_UP).min(last - 1.0), last);
                }
                Err(RecvError::Closed) => return Ok(()),
            }
        };
        tokio::time::sleep(TOGETHER).await;
        while let Ok(notice) = notices.try_recv() {
            if notice.container == *id {
                from = from.min(notice.span.start as f64);
                to = to.max(notice.span.end as f64);
            }
        }
        // What comes from a spool after hours is for the past, not for who follows.
        from = from.max(to - CATCH_UP);
    }
}

/// What of a container changes when something new of it is stored, by whichever server.
#[derive(PartialEq)]
struct Known {
    last_seen: f64,
    cpu_ns: u64,
    bytes: (u64, u64),
    ended: bool,
}

impl Known {
    fn of(container: &ContainerItem) -> Self {
        Self {
            last_seen: container.last_seen,
            cpu_ns: container.cpu_ns,
            bytes: (container.bytes_in, container.bytes_out),
            ended: container.state == ContainerState::Ended,
        }
    }
}

async fn send(events: &Events, summary: &Summary) -> bool {
    match Event::default().event("slots").json_data(summary) {
        Ok(event) => events.send(Ok(event)).await.is_ok(),
        Err(error) => {
            warn!(%error, "a summary can't be written as JSON");
            false
        }
    }
}
