//! HTTP: routes, and nothing that is not about HTTP.

pub mod access;
pub mod batch;
mod body;
mod containers;
pub mod error;
mod legacy;
mod live;
mod observe;
mod page;
mod parameters;
mod recordings;
pub mod state;
mod status;

use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, http::StatusCode};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use error::{ApiError, Code};
use state::AppState;

/// An answer begins within this time, or is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The whole server as a router.
pub fn app(state: AppState) -> Router {
    let (posts, reads, open, api) = routers();
    let text = describe(api).to_pretty_json().unwrap_or_default();
    let openapi = move || {
        let text = text.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], text) }
    };
    // Who sends or reads too slowly must not keep a place that others need.
    let patience = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, PATIENCE);
    let posts = posts
        .merge(legacy::posts())
        .layer(DefaultBodyLimit::max(state.limits.body))
        .route_layer(patience)
        .route_layer(from_fn_with_state(state.clone(), observe::limit_posts));
    let reads = reads
        .merge(legacy::reads())
        .route_layer(patience)
        .route_layer(from_fn_with_state(state.clone(), observe::limit_reads));
    // A live stream must not wait in a compressor's buffer.
    let worth = SizeAbove::new(1_024)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES);
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(worth);
    Router::new()
        .merge(reads)
        .merge(open)
        .route("/api/v1/openapi.json", get(openapi))
        .fallback(get(page::serve))
        .layer(compression)
        .merge(posts)
        .method_not_allowed_fallback(|| async {
            ApiError::new(
                Code::MethodNotAllowed,
                "this path does not take that method",
            )
        })
        .layer(map_response(json_errors))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

/// The description of the API, as it is checked in.
pub fn openapi() -> OpenApi {
    describe(routers().3)
}

type Routers = (
    Router<AppState>,
    Router<AppState>,
    Router<AppState>,
    OpenApi,
);

/// Routes that post, that read, and that are always open; and the description of all of them.
fn routers() -> Routers {
    let (posts, mut api) = OpenApiRouter::new()
        .routes(routes!(batch::post))
        .split_for_parts();
    let (reads, more) = OpenApiRouter::new()
        .routes(routes!(containers::list))
        .routes(routes!(containers::get))
        .routes(routes!(containers::summary))
        .routes(routes!(containers::life))
        .routes(routes!(containers::table))
        .routes(routes!(live::follow))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::delete))
        .routes(routes!(status::hosts))
        .routes(routes!(status::me))
        .split_for_parts();
    api.merge(more);
    let (open, more) = OpenApiRouter::new()
        .routes(routes!(status::ping))
        .routes(routes!(status::metrics))
        .split_for_parts();
    api.merge(more);
    (posts, reads, open, api)
}

fn describe(api: OpenApi) -> OpenApi {
    let info = InfoBuilder::new()
        .title("bubble-server")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "What containers did, by process, core, file and peer. Times are seconds since the \
             Unix epoch, unless a name ends in _ns.",
        ))
        .build();
    let mut api = OpenApiBuilder::from(api).info(info).build();
    let bearer = |description: &str| {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(description))
            .build();
        SecurityScheme::Http(scheme)
    };
    let components = api.components.get_or_insert_default();
    components.add_security_scheme("key", bearer("an API key, by `bubble-server key create`"));
    components.add_security_scheme("token", bearer("a JWT, by `bubble-server token`"));
    api
}

/// An error of the framework's own becomes one of ours.
async fn json_errors(response: Response) -> Response {
    let ours = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let code = match response.status() {
        StatusCode::BAD_REQUEST => Code::BadRequest,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        StatusCode::INTERNAL_SERVER_ERROR => Code::Internal,
        _ => return response,
    };
    if ours {
        return response;
    }
    ApiError::new(code, "the request can't be answered").into_response()
}
