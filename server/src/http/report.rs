//! The report of a container, as JSON, text, Markdown or HTML, or as the fields of another tool.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bubble_common::report::Report;
use bubble_common::report::render::{Format, render};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::access::Readable;
use super::error::{ApiError, ErrorBody};
use super::parameters::{Checked, ReportParameters};
use super::state::AppState;

/// The report of a container: what its life, or a range of it, was, with advice.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/report", operation_id = "getReport", tag = "containers",
    params(("id" = String, Path, description = "the container's id"), ReportParameters),
    responses((status = 200, content((Report = "application/json"), (String = "text/plain"),
        (String = "text/markdown"), (String = "text/html"), (String = "text/tab-separated-values"))), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn report(
    State(state): State<AppState>,
    Readable { id, .. }: Readable,
    parameters: Checked<Query<ReportParameters>>,
) -> Result<Response, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let report = state.query.report(&id, &parameters.ask()?).await?;
    let format = parameters.format.unwrap_or(Format::Json);
    if format == Format::Json {
        return Ok(Json(report).into_response());
    }
    let kind = [(header::CONTENT_TYPE, format.media_type())];
    let mut answer = (kind, render(&report, format)).into_response();
    if format == Format::Html {
        // It is a page of its own, which does not run beside the server's.
        let value = HeaderValue::from_static("attachment; filename=\"report.html\"");
        answer
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(answer)
}

/// The schema of a report (JSON Schema 2020-12), from the description of the API.
pub(super) fn schema(api: &OpenApi) -> Value {
    let api = serde_json::to_value(api).unwrap_or_default();
    let mut found = Map::new();
    let mut open = vec!["Report".to_owned()];
    while let Some(name) = open.pop() {
        let schema = &api["components"]["schemas"][&name];
        if found.contains_key(&name) || schema.is_null() {
            continue;
        }
        references(schema, &mut open);
        found.insert(name, moved(schema));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The report of a container",
        "$ref": "#/$defs/Report",
        "$defs": found,
    })
}

/// Where the description of the API has its schemas.
const IN_API: &str = "#/components/schemas/";

/// Adds the names of the schemas that `schema` refers to.
fn references(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                let target = member.as_str().and_then(|text| text.strip_prefix(IN_API));
                match target.filter(|_| name == "$ref") {
                    Some(target) => names.push(target.to_owned()),
                    None => references(member, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

/// The schema with references to the other place.
fn moved(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), moved(member)))
            .collect(),
        Value::Array(items) => items.iter().map(moved).collect(),
        Value::String(text) => text.replace(IN_API, "#/$defs/").into(),
        other => other.clone(),
    }
}
