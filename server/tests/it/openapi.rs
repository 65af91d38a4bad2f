//! The checked-in description of the API matches the code, and is complete.

use serde_json::Value;

#[test]
fn the_checked_in_description_matches_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let code = bubble_server::http::openapi()
        .to_pretty_json()
        .expect("JSON")
        + "\n";
    if std::env::var_os("BUBBLE_BLESS").is_some() {
        std::fs::write(path, &code).expect("can be written");
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == code,
        "server/openapi.json does not match the code: \
         `BUBBLE_BLESS=1 cargo test -p bubble-server openapi` writes it"
    );
}

#[test]
fn the_checked_in_schema_of_reports_matches_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");
    let schema = bubble_server::http::report_schema();
    assert!(schema["$defs"]["Cpu"]["properties"]["time_ns"].is_object());
    let code = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    if std::env::var_os("BUBBLE_BLESS").is_some() {
        std::fs::write(path, &code).expect("can be written");
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == code,
        "docs/report.schema.json does not match the code: \
         `BUBBLE_BLESS=1 cargo test -p bubble-server openapi` writes it"
    );
}

#[test]
fn every_reference_leads_to_something() {
    let description = bubble_server::http::openapi().to_json().expect("JSON");
    let description: Value = serde_json::from_str(&description).expect("JSON");
    let references = references(&description);
    assert!(references.len() > 50, "only {} found", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        assert!(
            pointer.starts_with('/') && description.pointer(pointer).is_some(),
            "{reference} is not in the description"
        );
    }
}

/// The values of all `$ref`s in `value`.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| match member {
                Value::String(text) if name == "$ref" => vec![text.as_str()],
                _ => references(member),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
