//! HTTP: the routes, and all that concerns HTTP.

pub mod access;
pub mod attention;
pub mod base;
pub mod batch;
mod body;
mod capture_body;
mod connection;
mod containers;
mod deletion;
pub mod error;
mod feed;
mod file;
mod legacy;
mod links;
mod live;
mod observe;
mod page;
mod parameters;
mod processes;
mod recordings;
mod report;
mod scope;
mod shares;
pub mod state;
mod status;
mod uploads;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bubble_common::report::render::Format as ReportFormat;
use connection::Site;
use error::{ApiError, Code};
use parameters::Format;
use state::AppState;
use tokio::net::TcpListener;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::query::table::{Order, SeriesKind, TableKind};

/// Longest time until an answer begins.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves on `listener` until the server stops, then finishes the open requests.
pub async fn serve(listener: TcpListener, state: AppState) {
    let (limits, metrics, stop) = (state.limits, Arc::clone(&state.metrics), state.stop.clone());
    let site = Site {
        base: state.base.clone(),
        router: app(state),
    };
    connection::serve(listener, site, &limits, metrics, stop).await;
}

/// The whole server as a router. The base path is removed before (`connection`).
pub fn app(state: AppState) -> Router {
    let (posts, uploads, reads, open, api) = routers();
    let text = describe(api).to_pretty_json().unwrap_or_default();
    let openapi = move || {
        let text = text.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], text) }
    };
    // A query that takes too long must not hold a place that others need.
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER_TIMEOUT);
    let posts = posts.merge(legacy::posts()).route_layer(timeout);
    let reads = reads
        .merge(legacy::reads())
        .route_layer(timeout)
        .route_layer(from_fn_with_state(state.clone(), observe::limit_reads));
    // A compressor's buffer would delay live streams.
    let compressible = SizeAbove::new(1_024)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES);
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(compressible);
    Router::new()
        .merge(reads)
        .merge(open)
        .route("/api/v1/openapi.json", get(openapi))
        .fallback(get(page::serve))
        .layer(compression)
        .merge(posts)
        .merge(uploads)
        .method_not_allowed_fallback(|| async {
            ApiError::new(
                Code::MethodNotAllowed,
                "this path does not accept that method",
            )
        })
        .layer(map_response(json_errors))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

/// The description of the API; `openapi.json` is its checked-in copy.
pub fn openapi() -> OpenApi {
    describe(routers().4)
}

/// The JSON schema of a report; docs/report.schema.json is its checked-in copy.
pub fn report_schema() -> serde_json::Value {
    report::schema(&openapi())
}

type Routers = (
    Router<AppState>,
    Router<AppState>,
    Router<AppState>,
    Router<AppState>,
    OpenApi,
);

/// Routes that post, routes that upload, which take long, routes that read, and routes without limits; and
/// the description of all.
fn routers() -> Routers {
    let (posts, mut api) = OpenApiRouter::new()
        .routes(routes!(batch::post))
        .routes(routes!(watch::watch))
        .split_for_parts();
    let (reads, more) = OpenApiRouter::new()
        .routes(routes!(containers::list, deletion::delete_older))
        .routes(routes!(containers::get, deletion::delete))
        .routes(routes!(containers::summary))
        .routes(routes!(containers::life))
        .routes(routes!(containers::table))
        .routes(routes!(report::report))
        .routes(routes!(processes::lanes))
        .routes(routes!(processes::series))
        .routes(routes!(processes::compare))
        .routes(routes!(processes::neighbours))
        .routes(routes!(file::save))
        .routes(routes!(live::follow))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::delete))
        .routes(routes!(status::hosts))
        .routes(routes!(deletion::delete_host))
        .routes(routes!(links::list, links::create))
        .routes(routes!(links::revoke))
        .routes(routes!(status::me))
        .split_for_parts();
    api.merge(more);
    let (uploads, more) = OpenApiRouter::new()
        .routes(routes!(uploads::upload))
        .split_for_parts();
    api.merge(more);
    let (open, more) = OpenApiRouter::new()
        .routes(routes!(status::ping))
        .routes(routes!(status::metrics))
        .split_for_parts();
    api.merge(more);
    (posts, uploads, reads, open, api)
}

/// Schemas that only parameters refer to: utoipa collects those of bodies alone.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Format, Order, ReportFormat, SeriesKind, TableKind)))]
struct ParameterSchemas;

fn describe(mut api: OpenApi) -> OpenApi {
    api.merge(ParameterSchemas::openapi());
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
    add_failures(&mut api);
    api
}

/// Adds the failures that every read with a token has in common, and those of every query of rows.
fn add_failures(api: &mut OpenApi) {
    for (path, item) in &mut api.paths.paths {
        let responses = item.get.as_mut().map(|read| &mut read.responses.responses);
        let Some(responses) = responses else {
            continue;
        };
        // All failures have one body.
        let Some(RefOr::T(failure)) = responses.get("401").cloned() else {
            continue;
        };
        let mut add = |status: &str, description: &str| {
            let mut failure = failure.clone();
            failure.description = description.to_owned();
            responses
                .entry(status.to_owned())
                .or_insert(RefOr::T(failure));
        };
        add(
            "503",
            "the store does not answer, or others use the memory: try again as Retry-After says",
        );
        if ["/summary", "/life", "/table", "/neighbours"]
            .iter()
            .any(|of| path.ends_with(of))
        {
            add(
                "413",
                "it needs more memory than a query gets: ask for a shorter range or a longer step",
            );
        }
    }
}

/// Turns an error of the framework into one of ours.
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
