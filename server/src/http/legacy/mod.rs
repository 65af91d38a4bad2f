//! The paths of the Python system, which still work: posts of its chisel, queries of its page and
//! scripts, links to its page. docs/legacy.md lists them. They are not part of the described API.

mod container;
mod event;
mod page;

use axum::Router;
use axum::routing::{get, post};

use super::state::AppState;

/// Routes that post.
pub(super) fn posts() -> Router<AppState> {
    Router::new()
        .route("/event", post(event::post))
        .route("/event/api/{key}", post(event::post))
}

/// Routes that read.
pub(super) fn reads() -> Router<AppState> {
    Router::new()
        .route("/container/{id}/cpu", get(container::cpu))
        .route("/container/{id}/cpu/{process}", get(container::cores))
        .route("/container/{id}/proc", get(container::processes))
        .route("/container/{id}/mem", get(container::memory))
        .route("/container/{id}/io", get(container::io))
        .route("/static/index.html", get(page::redirect))
}
