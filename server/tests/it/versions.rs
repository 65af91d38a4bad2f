//! Bytes of version 1 of the format, beside those that are written today.

use std::ops::Range;

use bubble_common::segment::builder::Builder;
use bubble_common::segment::process::{Cpu, Memory, Process, ProcessId};
use bubble_common::segment::{Coverage, Key, Resolution, SourceId};
use bubble_server::clock;
use bubble_server::span::row::{Form, Row};
use bubble_server::store::restore::Rows;
use reqwest::StatusCode;
use serde_json::Value;

use crate::common::{Server, batch, id};

const ID: &str = "web@node7";
const SOURCE: SourceId = SourceId(*b"0123456789abcdef");
/// Two seconds of a container, by an agent that wrote version 1.
const VERSION_1: &[u8] = include_bytes!("../../../common/testdata/segment/v1/raw-example.bin");
/// Their start within these bytes, a varint.
const START: Range<usize> = 16..21;

/// The bytes of version 1, as if they began at `start`.
fn segment_of_version_1(start: u64) -> Vec<u8> {
    let mut segment = VERSION_1.to_vec();
    for (index, byte) in segment[START].iter_mut().enumerate() {
        let is_last = index + 1 == START.len();
        *byte = (start >> (7 * index)) as u8 & 0x7f | if is_last { 0 } else { 0x80 };
    }
    segment
}

/// A batch with the bytes of version 1, as if they began at `start`.
fn batch_of_version_1(start: u64) -> Vec<u8> {
    let segment = segment_of_version_1(start);
    let mut empty = batch(Vec::new());
    empty.source = SOURCE;
    let mut bytes = empty.encode();
    assert_eq!(bytes[5], 0, "not compressed");
    assert_eq!(bytes.pop(), Some(0), "no segments");
    bytes.push(1);
    assert!(segment.len() < 1 << 14, "a varint of two bytes");
    bytes.extend([segment.len() as u8 | 0x80, (segment.len() >> 7) as u8]);
    bytes.extend(segment);
    bytes
}

/// A batch of today with a second at `at` of the same process, in bytes of version 1 that begin at
/// `start`.
fn batch_of_today(start: u64, at: u64) -> Vec<u8> {
    let key = Key {
        container: id(ID),
        resolution: Resolution::Second,
        start: at,
        source: SOURCE,
    };
    let mut builder = Builder::new(key, 1);
    builder.cover(0, Coverage::SECOND);
    let process = ProcessId {
        pid: 300,
        start: start * 1_000_000_000 - 500_000_000,
        exec: 1,
    };
    let process = builder.process(Process {
        gid: Some(100),
        ..Process::new(process, "sh")
    });
    builder.cpu(process, 0, 0, Cpu { ns: 7 });
    let memory = Memory {
        vm: 32_768,
        rss: 16_384,
        swap: 0,
        private: 16_384,
    };
    builder.memory(process, 0, memory.with_shared(4_096));
    let mut posted = batch(vec![builder.build()]);
    posted.source = SOURCE;
    posted.encode()
}

async fn shell(server: &Server, start: u64, step: u64) -> Value {
    let path = format!(
        "/api/v1/containers/{ID}/table?kind=process&format=json&from={start}&to={}&step={step}",
        start + 60
    );
    let table = server.json(&path).await;
    let rows = table["rows"].as_array().expect("rows");
    let shell = rows.iter().find(|row| row["pid"] == 300);
    shell.expect("the process").clone()
}

#[tokio::test]
async fn pieces_of_version_1_and_of_today_are_packed_together() {
    let server = Server::start().await;
    let start = clock::now() / 60 * 60 - 600;
    let answer = server.post_bytes(batch_of_version_1(start)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let before = shell(&server, start, 1).await;
    assert_eq!(before["cpu_ns"], 2_000_064);
    assert_eq!(before["rss_max"], 4_096);
    for unknown in ["gid", "private_max"] {
        assert_eq!(before[unknown], Value::Null);
    }

    let today = batch_of_today(start, start + 2);
    let answer = server.post_bytes(today).await;
    assert_eq!(answer.status(), StatusCode::OK);
    for _ in 0..2 {
        for step in [1, 60] {
            let shell = shell(&server, start, step).await;
            assert_eq!(shell["cpu_ns"], 2_000_071, "step {step}");
            assert_eq!(shell["gid"], 100);
            assert_eq!(shell["rss_max"], 16_384);
            assert_eq!(shell["private_max"], 12_288);
            assert_eq!(shell["exe"], "/bin/sh");
        }
        server.roll_up(clock::now() + 600).await;
    }
    for resolution in [Resolution::Second, Resolution::Minute] {
        let row = stored(&server, resolution, start).await;
        assert_eq!(
            row.segment().expect("good")[4],
            2,
            "the version that is written"
        );
    }
}

/// The only row of a minute.
async fn stored(server: &Server, resolution: Resolution, start: u64) -> Row {
    let rows = (server.state.store)
        .range(&id(ID), resolution, start..start + 60)
        .await;
    let mut rows = rows.expect("rows");
    assert_eq!(rows.len(), 1, "packed");
    rows.remove(0)
}

/// The rows of a recording never expire, and nothing packs them again until a late piece arrives.
#[tokio::test]
async fn a_recording_that_was_packed_in_version_1_is_read() {
    let server = Server::start().await;
    // A Saturday in 2017, at the start of an hour.
    let start = 1_506_124_800;
    let post = |bytes| server.post_to("/api/v1/batch?recording=old", bytes);
    // Another hour, which makes the recording and the container known.
    let answer = post(batch_of_today(start, start + 3_690)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let packed = Row {
        key: Key {
            container: id(ID),
            resolution: Resolution::Second,
            start,
            source: SOURCE,
        },
        form: Form::Packed,
        bytes: segment_of_version_1(start),
    };
    let rows = Rows {
        container: id(ID),
        resolution: Resolution::Second,
        rows: vec![(packed.clone(), 0b11)],
        recorded: Vec::new(),
        dirty: vec![start],
    };
    let restored = server.state.store.restore_rows(rows).await;
    restored.expect("restored");
    for day in [0, 200, 400] {
        server.roll_up(clock::now() + 600 + day * 86_400).await;
    }
    assert_eq!(stored(&server, Resolution::Second, start).await, packed);
    for step in [1, 60] {
        let shell = shell(&server, start, step).await;
        assert_eq!(shell["cpu_ns"], 2_000_064, "step {step}");
        assert_eq!(shell["rss_max"], 4_096);
        assert_eq!(shell["gid"], Value::Null);
    }

    let answer = post(batch_of_today(start, start + 2)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    for _ in 0..2 {
        for step in [1, 60] {
            let shell = shell(&server, start, step).await;
            assert_eq!(shell["cpu_ns"], 2_000_071, "step {step}");
            assert_eq!(shell["gid"], 100);
        }
        server.roll_up(clock::now() + 600).await;
    }
    let row = stored(&server, Resolution::Second, start).await;
    assert_eq!(row.segment().expect("good")[4], 2, "packed again");
}

/// An agent that is newer than the server keeps its data: the answer is not that of damaged bytes.
#[tokio::test]
async fn a_later_version_is_refused_as_such() {
    let server = Server::start().await;
    let mut bytes = batch_of_version_1(clock::now() - 600);
    let magic = [0xbc, b'S', b'E', b'G'];
    let segment = bytes.windows(4).position(|four| four == magic);
    bytes[segment.expect("a segment") + 4] = 3;
    let answer = server.post_bytes(bytes).await;
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let text = answer.text().await.expect("a body");
    assert!(text.contains("unknown format version 3"), "{text}");
}
