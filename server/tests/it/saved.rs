//! Saved files: the answers in them are those of the API.

use bubble_common::segment::builder::Builder;
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Process, ProcessId};
use bubble_common::segment::{Coverage, Key, Resolution, Segment, SourceId};
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
        if name.is_empty() {
            let lacking = member.as_array().into_iter().flatten();
            for name in lacking.filter_map(Value::as_str) {
                all.remove(name);
            }
            continue;
        }
        let own = base.get(name).unwrap_or(&Value::Null);
        all.insert(name.clone(), merged(own, member));
    }
    Value::Object(all)
}

/// A second in which a process talks to a peer that also refuses it.
fn talking(start: u64) -> Segment {
    let key = Key {
        container: id(ID),
        resolution: Resolution::Second,
        start,
        source: SourceId([3; 16]),
    };
    let mut builder = Builder::new(key, 1);
    builder.cover(0, Coverage::SECOND);
    let process = ProcessId {
        pid: 77,
        start: 2_000,
        exec: 0,
    };
    let process = builder.process(Process::new(process, "client"));
    let connection = builder.connection(Connection {
        protocol: Protocol::Tcp,
        role: Role::Client,
        local: Address::Ip("10.0.0.1".parse().expect("an address"), 50_000),
        peer: Address::Ip("10.0.0.2".parse().expect("an address"), 5_432),
    });
    let io = NetworkIo {
        bytes_in: 700,
        bytes_out: 80,
        failures: 2,
        ..NetworkIo::default()
    };
    builder.network_io(process, connection, 0, io);
    builder.build()
}

/// `text` as a part of a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
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
    assert_eq!(server.post(vec![talking(start + 12)]).await, (1, 0));
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
    assert_eq!(saved["lanes"], {
        let path = format!(
            "/api/v1/containers/{ID}/lanes?from={start}&to={}",
            start + 60
        );
        server.json(&path).await
    });
    let details = &saved["details"];
    let first = &details["processes"][0];
    let process = first["life"].as_str().expect("a life");
    let of_api = answer(&format!("&top=50&process={process}")).await;
    assert_eq!(merged(&saved["summary"], &first["summary"]), of_api);
    for (kind, list, sort) in [
        ("file", "files", "bytes"),
        ("network", "peers", "failures,bytes"),
    ] {
        let one = &details[list][0];
        let text = |name: &str| one[name].as_str().expect("text").to_owned();
        let filter = match kind {
            "file" => format!("path:==\"{}\"", text("path")),
            _ => {
                let (protocol, role) = (text("protocol"), text("role"));
                let (remote, port) = (text("remote"), &one["port"]);
                format!("protocol:=={protocol} role:=={role} remote:==\"{remote}\" port:{port}")
            }
        };
        let range = format!("from={start}&to={}", start + 60);
        let query = format!("kind={kind}&filter={}&{range}", encoded(&filter));
        let path = format!("/api/v1/containers/{ID}/series?{query}");
        assert_eq!(one["series"], server.json(&path).await, "{kind}");
        let more = format!("group=process,name,pid,container_pid,args&sort={sort}&limit=30");
        let path = format!("/api/v1/containers/{ID}/table?{query}&{more}");
        assert_eq!(one["table"], server.json(&path).await, "{kind}");
    }
    for kind in ["processes", "files", "peers"] {
        assert_eq!(details["left_out"][kind], 0, "{kind}");
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
