//! Legacy posts: duplicates, sums and keys.

use std::collections::BTreeMap;

use bubble_server::clock;
use bubble_testing::captures;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{ID, cpu, event_to, fd, haproxy, item, post_event};
use crate::common::Server;

/// Rows of CPU: two threads of haproxy, and an idle process.
fn cpu_rows() -> Value {
    json!([
        haproxy(50_000_000),
        [
            "1",
            "haproxy",
            "13969",
            "9",
            "15496",
            ID,
            "/usr/sbin/haproxy",
            "-f /x.cfg -q",
            "13924",
            2_500_000.5
        ],
        [
            "0",
            "tini",
            "13851",
            "1",
            "740",
            ID,
            "/sbin/tini",
            "-- dockercloud-haproxy",
            "13834",
            0
        ],
    ])
}

/// Rows of descriptors: both directions of a connection, and a file.
fn descriptor_rows() -> Value {
    json!([
        [
            "13969",
            "9",
            ID,
            "192.168.0.3:55014->192.168.0.2:80",
            "out",
            131
        ],
        [
            "13969",
            "9",
            ID,
            "192.168.0.3:55014->192.168.0.2:80",
            "in",
            121
        ],
        ["13969", "9", ID, "/etc/hosts", "in", 7],
    ])
}

/// Checks that the second `now` has all of these rows once.
async fn check(server: &Server, now: u64) {
    let item = item(server).await;
    assert_eq!(item["cpu_ns"], 52_500_001);
    assert_eq!(
        (&item["bytes_in"], &item["bytes_out"]),
        (&json!(128), &json!(131))
    );
    assert_eq!(item["hooks"], "sysdig");
    let path = format!("/api/v1/containers/{ID}/summary?from={now}&to={}", now + 1);
    let summary = server.json(&path).await;
    let process = &summary["processes"][0];
    assert_eq!(
        (&process["name"], &process["pid"]),
        (&json!("haproxy"), &json!(13_969))
    );
    assert_eq!(
        process["args"],
        json!(["/usr/sbin/haproxy", "-f", "/x.cfg", "-q"])
    );
    assert_eq!(process["vm_max"], 15_496 * 1_024);
    // A chisel measures no other memory: that is not 0.
    assert_eq!(process["rss_max"], Value::Null);
    assert_eq!(process["swap_max"], Value::Null);
    assert_eq!(summary["memory"]["measure"], "virtual");
    let series = &summary["memory"]["processes"][0];
    assert_eq!(series["values"], json!([15_496 * 1_024]));
    assert_eq!(
        (&process["received"], &process["sent"]),
        (&json!(121), &json!(131))
    );
    assert_eq!(process["bytes_in"], 7);
    assert_eq!(summary["total_processes"], 2);
    assert_eq!(summary["covered"], json!([1.0]));
}

#[tokio::test]
async fn cpu_and_descriptors_of_one_second_both_count_and_a_repeated_body_once() {
    let server = Server::start().await;
    let now = clock::now() - 5;
    let rows = cpu_rows();
    for _ in 0..2 {
        post_event(&server, cpu(now, &rows)).await;
        post_event(&server, fd(now, &descriptor_rows())).await;
    }
    check(&server, now).await;
    server.roll_up(now + 300).await;
    check(&server, now).await;
    // Again after packing, and with the rows in another order.
    let reversed: Vec<Value> = rows
        .as_array()
        .expect("rows")
        .iter()
        .rev()
        .cloned()
        .collect();
    post_event(&server, cpu(now, &json!(reversed))).await;
    check(&server, now).await;
}

#[tokio::test]
async fn parts_and_hosts_add_up() {
    let server = Server::start().await;
    let now = clock::now() - 5;
    // One host posts a second in two bodies, because it was too long for one.
    post_event(&server, cpu(now, &json!([haproxy(1)]))).await;
    post_event(&server, cpu(now, &json!([haproxy(2)]))).await;
    assert_eq!(item(&server).await["cpu_ns"], 3);
    // Another host posts the same row through a proxy that names it.
    let from = async |host: &str| {
        let request = server
            .client
            .post(format!("{}/event/api/{}", server.url, server.key));
        let request = request.header("x-forwarded-for", format!("{host}, 10.0.0.1"));
        let answer = request.body(cpu(now, &json!([haproxy(2)]))).send().await;
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
    };
    from("10.1.1.1").await;
    from("10.1.1.1").await;
    from("10.1.1.2").await;
    assert_eq!(item(&server).await["cpu_ns"], 7);
    server.roll_up(now + 300).await;
    let path = format!("/container/{ID}/cpu?interval=m");
    let minute = now / 60 * 60;
    assert_eq!(
        server.json(&path).await,
        json!({"13969": [{"ts": minute as f64, "proc_name": 13_969, "duration": 7}]})
    );
}

#[tokio::test]
async fn a_capture_that_is_played_back_is_a_recording() {
    let server = Server::start().await;
    let then = 1_506_127_481;
    post_event(&server, cpu(then, &json!([haproxy(5)]))).await;
    post_event(
        &server,
        fd(then, &json!([["13969", "9", ID, "/x", "out", 3]])),
    )
    .await;
    for day in [0, 100, 200] {
        server.roll_up(clock::now() + day * 86_400).await;
    }
    let item = item(&server).await;
    assert_eq!(
        (&item["state"], &item["recordings"]),
        (&json!("ended"), &json!(["sysdig (tests)"]))
    );
    let seconds = server.json(&format!("/container/{ID}/cpu")).await;
    assert_eq!(seconds["13969"][0]["duration"], 5);
    let recordings = server.json("/api/v1/recordings").await;
    assert_eq!(recordings["recordings"].as_array().map(Vec::len), Some(1));
    assert_eq!(recordings["recordings"][0]["containers"][0]["bytes_out"], 3);
    // A named recording is another one.
    let path = format!("/event/api/{}?recording=mine", server.key);
    let answer = event_to(&server, &path, cpu(then, &json!([haproxy(5)]))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let recordings = server.json("/api/v1/recordings").await;
    assert_eq!(recordings["recordings"][1]["name"], "mine");
}

#[tokio::test]
async fn the_key_is_in_the_path_or_the_header() {
    let server = Server::start().await;
    let body = || cpu(clock::now(), &json!([haproxy(1)]));
    let with = async |header: Option<String>| {
        let request = server
            .client
            .post(format!("{}/event", server.url))
            .body(body());
        let request = match header {
            Some(header) => request.header("authorization", header),
            None => request,
        };
        request.send().await.expect("an answer").status()
    };
    for scheme in ["Bearer", "bearer", "token", "api"] {
        let status = with(Some(format!("{scheme} {}", server.key))).await;
        assert_eq!(status, StatusCode::OK, "{scheme}");
    }
    assert_eq!(with(None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        with(Some(server.key.clone())).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        with(Some(format!("Bearer {}", server.admin))).await,
        StatusCode::UNAUTHORIZED
    );
    for path in ["/event/api/x", "/event/api/a.b", "/event/api/%ff"] {
        let answer = event_to(&server, path, body()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        let error: Value = answer.json().await.expect("JSON");
        let last = path.rsplit('/').next().expect("a part");
        assert!(!error.to_string().contains(&format!("{last}\"")), "{error}");
    }
    let path = format!("/event/api/{}", server.key);
    assert_eq!(
        server.get(&path).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn a_slurm_job_is_a_container() {
    let server = Server::start().await;
    let row = json!(["1", "1", "/slurm/uid_1000/job_42/step_0", "/x", "in", 3]);
    post_event(&server, fd(clock::now(), &json!([row]))).await;
    assert_eq!(
        server.json("/container/job_42/io").await["1"][0]["io_in"],
        3
    );
}

/// Posts the bodies that the original chisel made from a capture. Each row equals what an independent
/// reader found in the capture.
#[tokio::test]
async fn bodies_of_the_original_chisel_match_the_capture() {
    let Some(folder) = captures::folder_if_present() else {
        return;
    };
    let server = Server::start().await;
    for body in ["legacy/chisel-cpu.json", "legacy/chisel-fd.json"] {
        let body = std::fs::read(folder.join(body)).expect("it can be read");
        post_event(&server, body).await;
    }
    let table = std::fs::read_to_string(folder.join("captures/expected/502error.io.tsv"));
    let table = table.expect("it can be read");
    let mut expected: BTreeMap<(String, String, String), (u64, u64)> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let bytes: u64 = columns[7].parse().expect("a number");
        let key = [columns[0], columns[1], columns[5]].map(str::to_owned);
        let [container, pid, name] = key;
        let sums = expected.entry((container, pid, name)).or_default();
        match columns[6] {
            "in" => sums.0 += bytes,
            _ => sums.1 += bytes,
        }
    }
    let mut rows = 0;
    for container in [ID, "c78a447010cd"] {
        let io = server.json(&format!("/container/{container}/io")).await;
        for (pid, files) in io.as_object().expect("by process") {
            for file in files.as_array().expect("rows") {
                let name = file["file_name"].as_str().expect("text");
                let of = |name: &str| (container.to_owned(), pid.clone(), name.to_owned());
                let found = expected.get(&of(name)).or_else(|| {
                    let mut pipes = expected.iter().filter(|((c, p, n), _)| {
                        (c, p) == (&container.to_owned(), pid) && n.starts_with("pipe:")
                    });
                    pipes.next().map(|(_, sums)| sums)
                });
                let (bytes_in, bytes_out) =
                    found.unwrap_or_else(|| panic!("{name} is in no table"));
                // It posts only the hundred largest rows, so one direction of a connection may be missing.
                for (bytes, all) in [(&file["io_in"], bytes_in), (&file["io_out"], bytes_out)] {
                    let bytes = bytes.as_u64().expect("a number");
                    assert!(bytes == *all || bytes == 0, "{name}: {bytes} of {all}");
                    rows += u64::from(bytes > 0);
                }
            }
        }
    }
    assert_eq!(rows, 100);
    let haproxy = server.json(&format!("/container/{ID}/cpu/13969")).await;
    assert_eq!(haproxy["13969"][0]["duration"], 50_000_000);
    let python = server.json("/api/v1/containers/c78a447010cd").await;
    assert_eq!(python["cpu_ns"], 20_000_000);
}
