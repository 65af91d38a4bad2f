//! Saved files: the answers in them are those of the API.

use bubble_server::clock;
use bubble_server::query::Ask;
use bubble_server::query::saved::{MAX_BYTES, SaveError};
use serde_json::Value;

use crate::common::{Server, id, seconds};

const ID: &str = "aaaaaaaaaaaa";

/// `base` with the members of `difference`, as the page merges them.
fn merged(base: &Value, difference: &Value) -> Value {
    let (Value::Object(base), Value::Object(members)) = (base, difference) else {
        return difference.clone();
    };
    let mut all = base.clone();
    for (name, member) in members {
        let own = base.get(name).unwrap_or(&Value::Null);
        all.insert(name.clone(), merged(own, member));
    }
    Value::Object(all)
}

#[tokio::test]
async fn a_saved_file_has_the_answers_of_the_api() {
    let server = Server::start().await;
    let start = (clock::now() - 600) / 60 * 60;
    let segments = vec![
        seconds(ID, 1, start, 30, 1_000),
        // Two agents for a part of it, and a gap.
        seconds(ID, 2, start + 10, 5, 77),
        seconds(ID, 1, start + 40, 20, 3_000),
        seconds(ID, 1, start + 60, 60, 9_000),
    ];
    assert_eq!(server.post(segments).await, (4, 0));
    let ask = Ask {
        from: Some(start as f64),
        to: Some((start + 60) as f64),
        ..Ask::default()
    };
    let saved = server
        .state
        .query
        .saved(&id(ID), &ask)
        .await
        .expect("answers");
    assert!(saved.len() < MAX_BYTES);
    let saved: Value = serde_json::from_slice(&saved).expect("JSON");
    assert_eq!(saved["moments"].as_array().map(Vec::len), Some(60));
    assert_eq!(saved["note"], Value::Null);
    // What is about the container as a whole is not in a file of a range.
    let answer = async |more: &str| {
        let range = format!("from={start}&to={}&step=1", start + 60);
        let path = format!("/api/v1/containers/{ID}/summary?{range}{more}");
        let mut summary = server.json(&path).await;
        summary["container"] = saved["container"].clone();
        summary
    };
    assert_eq!(saved["summary"], answer("&top=1000").await);
    for second in [0, 12, 29, 35, 59] {
        let of_file = merged(&saved["summary"], &saved["moments"][second]);
        let at = start + second as u64;
        let of_api = answer(&format!("&top=500&at={at}")).await;
        assert_eq!(of_file, of_api, "{second}");
    }
    let life = &saved["life"];
    assert_eq!(life["first"].as_f64(), Some(start as f64));
    assert_eq!(life["last"].as_f64(), Some((start + 60) as f64));
}

#[test]
fn a_file_that_is_too_large_says_what_to_do() {
    let error = SaveError::TooLarge(23 << 20).to_string();
    assert!(error.contains("23 MiB") && error.contains("16"), "{error}");
    assert!(error.contains("shorter range"), "{error}");
}
