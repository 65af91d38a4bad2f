//! The Python system's wire and paths: what its chisel posts, and what is read then.

use std::collections::BTreeMap;

use bubble_common::segment::Segment;
use bubble_common::segment::codec::Effort;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::state::AppState;
use bubble_server::ingest::legacy;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Server, client, id, shared, token};
use crate::program::{Program, create_key, log_of};

const ID: &str = "59fd49aa4072";

fn cpu(ts: u64, rows: &Value) -> String {
    let ts = format!("{ts}000000000");
    json!({"ts": ts, "data": rows, "evt_type": "cpu", "jinfo": [{"name": "evt.cpu"}]}).to_string()
}

fn fd(ts: u64, rows: &Value) -> String {
    let ts = format!("{ts}000000000");
    json!({"ts": ts, "data": rows, "evt_type": "fd", "jinfo": []}).to_string()
}

fn haproxy(ns: u64) -> Value {
    json!([
        "0",
        "haproxy",
        "13969",
        "9",
        "15492",
        ID,
        "/usr/sbin/haproxy",
        "-f /x.cfg -q",
        "13924",
        ns
    ])
}

async fn event(server: &Server, body: impl Into<Vec<u8>>) -> Response {
    event_to(server, &format!("/event/api/{}", server.key), body).await
}

async fn event_to(server: &Server, path: &str, body: impl Into<Vec<u8>>) -> Response {
    let request = server.client.post(format!("{}{path}", server.url));
    request.body(body.into()).send().await.expect("an answer")
}

async fn told(server: &Server, body: impl Into<Vec<u8>>) {
    let answer = event(server, body).await;
    let status = answer.status();
    let text = answer.text().await.expect("text");
    assert_eq!((status, &*text), (StatusCode::OK, "ok"));
}

async fn item(server: &Server) -> Value {
    server.json(&format!("/api/v1/containers/{ID}")).await
}

#[tokio::test]
async fn cpu_and_descriptors_of_one_second_both_count_and_a_repeated_body_once() {
    let server = Server::start().await;
    let now = clock::now() - 5;
    let rows = json!([
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
    ]);
    let io = json!([
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
    ]);
    for _ in 0..2 {
        told(&server, cpu(now, &rows)).await;
        told(&server, fd(now, &io)).await;
    }
    let check = async || {
        let item = item(&server).await;
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
        assert_eq!(
            (&process["received"], &process["sent"]),
            (&json!(121), &json!(131))
        );
        assert_eq!(process["bytes_in"], 7);
        assert_eq!(summary["total_processes"], 2);
        assert_eq!(summary["covered"], json!([1.0]));
    };
    check().await;
    server.roll_up(now + 300).await;
    check().await;
    // After it was packed, and of the same content in another order.
    let reversed: Vec<Value> = rows
        .as_array()
        .expect("rows")
        .iter()
        .rev()
        .cloned()
        .collect();
    told(&server, cpu(now, &json!(reversed))).await;
    check().await;
}

#[tokio::test]
async fn parts_and_hosts_add_up() {
    let server = Server::start().await;
    let now = clock::now() - 5;
    // A second that was too long for one body, by one host.
    told(&server, cpu(now, &json!([haproxy(1)]))).await;
    told(&server, cpu(now, &json!([haproxy(2)]))).await;
    assert_eq!(item(&server).await["cpu_ns"], 3);
    // The very same row by another host, which a proxy names.
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
async fn what_is_played_back_is_a_recording() {
    let server = Server::start().await;
    let then = 1_506_127_481;
    told(&server, cpu(then, &json!([haproxy(5)]))).await;
    told(
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
    // One that has a name is another.
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
async fn hostile_bodies_are_refused_and_hostile_rows_are_left_out() {
    let server = Server::start().await;
    let now = clock::now();
    let deep = "[".repeat(100_000);
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        json!({"ts": "x", "data": [], "evt_type": "cpu"}).to_string(),
        json!({"ts": -1, "data": [], "evt_type": "cpu"}).to_string(),
        json!({"ts": u64::MAX, "data": [], "evt_type": "cpu"}).to_string(),
        json!({"ts": 1, "data": {}, "evt_type": "cpu"}).to_string(),
        json!({"ts": 1, "data": [], "evt_type": "mem"}).to_string(),
        json!({"ts": 1, "data": [], "evt_type": "m".repeat(100_000)}).to_string(),
        format!("{{\"ts\":1,\"evt_type\":\"cpu\",\"data\":{deep}"),
        format!("{{\"ts\":1,\"evt_type\":\"cpu\",\"data\":[{deep}"),
    ] {
        let answer = event(&server, body.clone()).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{start}");
        let text = answer.text().await.expect("text");
        assert!(text.len() < 1_000, "{text}");
    }
    let good = haproxy(1);
    let change = |column: usize, to: Value| {
        let mut row = good.clone();
        row[column] = to;
        row
    };
    let rows = json!([
        good,
        [],
        {},
        7,
        null,
        change(0, json!("core")),
        change(2, json!("0")),
        change(2, json!(-4)),
        change(2, json!("99999999999")),
        change(5, json!("")),
        change(5, json!("/docker/abc")),
        change(5, json!("a b")),
        change(9, json!(-1)),
        change(9, json!("nan")),
        change(9, json!(1e300)),
        change(9, json!([])),
        ["13969", "9", ID, "/x", "out", 3],
    ]);
    told(&server, cpu(now, &rows)).await;
    told(
        &server,
        fd(
            now,
            &json!([
                ["1", "1", ID, "/x", "both", 3],
                ["1", "1", ID, "/x", "in", 3]
            ]),
        ),
    )
    .await;
    let item = item(&server).await;
    assert_eq!((&item["cpu_ns"], &item["bytes_in"]), (&json!(1), &json!(3)));
    let metrics = server.get("/metrics").await.text().await.expect("text");
    assert!(
        metrics.contains("event_rows_refused_total 17\n"),
        "{metrics}"
    );
    assert_eq!(server.json("/api/v1/containers").await["total"], 1);
    // The far future, and numbers at their ends.
    told(&server, cpu(now + 86_400, &json!([haproxy(1)]))).await;
    assert_eq!(self::item(&server).await["cpu_ns"], 1);
    told(&server, cpu(now + 2, &json!([haproxy(u64::MAX)]))).await;
    told(&server, cpu(now + 3, &json!([haproxy(u64::MAX)]))).await;
    assert_eq!(self::item(&server).await["cpu_ns"], i64::MAX);
    // Names that are not UTF-8, as the original posts them.
    let mut body = fd(now + 1, &json!([["13969", "9", ID, "/caf#", "in", 4]])).into_bytes();
    let at = body.iter().position(|b| *b == b'#').expect("there");
    body[at] = 0xe9;
    told(&server, body).await;
    assert_eq!(self::item(&server).await["bytes_in"], 7);
}

/// A body with a little of everything.
fn sample() -> Vec<u8> {
    let rows = json!([
        [
            "13969",
            "9",
            ID,
            "192.168.0.3:55014->192.168.0.2:80",
            "out",
            131
        ],
        ["13969", "9", ID, "::1:5->::2:80", "in", 1.5e3],
        ["13969", "9", ID, "ffff88001d->ffff88002d /run/x", "in", "7"],
        [
            "1",
            "1",
            "/slurm/job_1/x",
            "pipe:[7]",
            "out",
            18_446_744_073_709_551_615_u64
        ],
    ]);
    fd(1_506_127_481, &rows).into_bytes()
}

/// A change: replaces `length` bytes at a place by `with`.
fn changes() -> impl Strategy<Value = Vec<(Index, usize, Vec<u8>)>> {
    let byte = prop_oneof![
        any::<u8>(),
        proptest::sample::select(b"0123456789\",:[]{}->e.".as_slice())
    ];
    let with = proptest::collection::vec(byte, 0..6);
    proptest::collection::vec((any::<Index>(), 0..4_usize, with), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is read of a damaged body is a segment as any other: it can be written and read again.
    #[test]
    fn what_is_read_of_a_damaged_body_is_whole(changes in changes(), is_cpu: bool) {
        let mut body = match is_cpu {
            true => cpu(1_506_127_481, &json!([haproxy(7), haproxy(u64::MAX)])).into_bytes(),
            false => sample(),
        };
        for (at, length, with) in changes {
            let at = at.index(body.len() + 1);
            let end = (at + length).min(body.len());
            body.splice(at..end, with);
        }
        if let Ok(event) = legacy::read(&body) {
            for segment in event.segments {
                let bytes = segment.encode(Effort::Raw);
                assert_eq!(Segment::decode(&bytes).as_ref(), Ok(&segment));
            }
        }
    }
}

#[tokio::test]
async fn a_slurm_job_is_a_container() {
    let server = Server::start().await;
    let row = json!(["1", "1", "/slurm/uid_1000/job_42/step_0", "/x", "in", 3]);
    told(&server, fd(clock::now(), &json!([row]))).await;
    assert_eq!(
        server.json("/container/job_42/io").await["1"][0]["io_in"],
        3
    );
}

#[tokio::test]
async fn answers_have_the_shapes_of_the_python_system() {
    let server = Server::start().await;
    let now = clock::now() - 10;
    let (first, second) = (now as f64, (now + 1) as f64);
    let row = |core: &str, name: &str, pid: &str, vm: &str, ns: u64| {
        json!([
            core,
            name,
            pid,
            "9",
            vm,
            ID,
            format!("/bin/{name}"),
            "-a b",
            "7",
            ns
        ])
    };
    told(
        &server,
        cpu(
            now,
            &json!([row("0", "a", "11", "5", 300), row("1", "a", "11", "6", 30)]),
        ),
    )
    .await;
    told(
        &server,
        cpu(
            now + 1,
            &json!([row("0", "a", "11", "4", 3), row("0", "b", "12", "50", 400)]),
        ),
    )
    .await;
    told(
        &server,
        cpu(
            now + 1,
            &json!([["0", "root", "13", "1", "1", ID, "/root", "", "0", 0]]),
        ),
    )
    .await;
    told(
        &server,
        fd(
            now,
            &json!([
                ["11", "9", ID, "1.1.1.1:5->2.2.2.2:80", "out", 9],
                ["11", "9", ID, "1.1.1.1:5->2.2.2.2:80", "in", 5]
            ]),
        ),
    )
    .await;
    told(
        &server,
        fd(now + 1, &json!([["12", "9", ID, "/x", "out", 8]])),
    )
    .await;
    let get = async |what: &str| server.json(&format!("/container/{ID}/{what}")).await;
    let expected = json!({
        "11": [{"ts": first, "proc_name": 11, "duration": 330}, {"ts": second, "proc_name": 11, "duration": 3}],
        "12": [{"ts": second, "proc_name": 12, "duration": 400}],
        "13": [{"ts": second, "proc_name": 13, "duration": 0}],
    });
    assert_eq!(get("cpu").await, expected);
    assert_eq!(get("cpu?interval=s&top=3").await, expected);
    assert_eq!(get("cpu?top=1").await, json!({"12": expected["12"]}));
    assert_eq!(
        get("cpu/11").await,
        json!({"11": [
            {"ts": first, "proc_name": 11, "duration": 300, "cpu": 0},
            {"ts": second, "proc_name": 11, "duration": 3, "cpu": 0},
            {"ts": first, "proc_name": 11, "duration": 30, "cpu": 1},
        ]})
    );
    assert_eq!(get("cpu/99").await, json!({}));
    assert_eq!(
        get("mem?top=2").await,
        json!({
            "11": [{"ts": first, "proc_name": 11, "vm_size": 6}, {"ts": second, "proc_name": 11, "vm_size": 4}],
            "12": [{"ts": second, "proc_name": 12, "vm_size": 50}],
        })
    );
    assert_eq!(
        get("io?interval=s&system=true").await,
        json!({
            "11": [{"ts": first, "proc_name": 11, "bytes": 14}],
            "12": [{"ts": second, "proc_name": 12, "bytes": 8}],
        })
    );
    assert_eq!(
        get("io").await,
        json!({
            "11": [{"file_name": "1.1.1.1:5->2.2.2.2:80", "proc_id": 11, "io_in": 5, "io_out": 9, "io_total": 14}],
            "12": [{"file_name": "/x", "proc_id": 12, "io_in": 0, "io_out": 8, "io_total": 8}],
        })
    );
    let procs = get("proc").await;
    assert_eq!(
        procs["data"][0],
        json!({"id": 11, "exe": "/bin/a", "args": "-a b", "name": "a", "parent": 7, "is_root": 0})
    );
    assert_eq!(
        (&procs["data"][2]["name"], &procs["data"][2]["is_root"]),
        (&json!("root"), &json!(1))
    );
    // Coarser points have the same sums, now and after roll-up.
    for _ in 0..2 {
        for (interval, seconds) in [("m", 60), ("h", 3_600), ("d", 86_400)] {
            let points = get(&format!("cpu?interval={interval}")).await;
            let sums: BTreeMap<&str, u64> = ["11", "12"]
                .into_iter()
                .map(|pid| {
                    let points = points[pid].as_array().expect("points");
                    let starts = points.iter().filter_map(|point| point["ts"].as_f64());
                    assert!(
                        starts
                            .into_iter()
                            .all(|ts| (ts as u64).is_multiple_of(seconds))
                    );
                    (
                        pid,
                        points
                            .iter()
                            .filter_map(|point| point["duration"].as_u64())
                            .sum(),
                    )
                })
                .collect();
            assert_eq!(
                sums,
                BTreeMap::from([("11", 333), ("12", 400)]),
                "{interval}"
            );
        }
        server.roll_up(now + 2 * 86_400).await;
    }
    // Who knows nothing says nothing.
    assert_eq!(server.json("/container/ffffffffffff/cpu").await, json!({}));
    assert_eq!(
        server.json("/container/ffffffffffff/proc").await,
        json!({"data": []})
    );
    for bad in ["cpu?interval=y", "cpu?top=x", "cpu/x"] {
        let answer = server.get(&format!("/container/{ID}/{bad}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn reading_needs_the_containers_token_unless_it_is_switched_off() {
    let server = Server::start().await;
    told(&server, cpu(clock::now(), &json!([haproxy(1)]))).await;
    let path = format!("{}/container/{ID}/cpu", server.url);
    let ask = async |authorization: &str| {
        let request = server
            .client
            .get(&path)
            .header("authorization", authorization);
        request.send().await.expect("an answer").status()
    };
    let own = token(&Access::Container(id(ID)));
    let other = token(&Access::Container(id("ffffffffffff")));
    assert_eq!(ask(&format!("token {own}")).await, StatusCode::OK);
    assert_eq!(ask(&format!("token {other}")).await, StatusCode::FORBIDDEN);
    assert_eq!(ask("").await, StatusCode::UNAUTHORIZED);

    let open = server
        .also(AppState {
            open: true,
            ..server.state.clone()
        })
        .await;
    for path in [
        format!("/container/{ID}/cpu"),
        "/api/v1/containers".to_owned(),
    ] {
        let answer = client().get(format!("{open}{path}")).send().await;
        assert_eq!(
            answer.expect("an answer").status(),
            StatusCode::OK,
            "{path}"
        );
    }
    // That is for reading.
    let answer = client().delete(format!("{open}/api/v1/recordings/{}", "0".repeat(32)));
    let answer = answer.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let answer = client().post(format!("{open}/event/api/x")).send().await;
    assert_eq!(
        answer.expect("an answer").status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn old_links_lead_to_the_new_page() {
    let server = Server::start().await;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let follow = async |query: &str| {
        let url = format!("{}/static/index.html{query}", server.url);
        let answer = client.get(url).send().await.expect("an answer");
        let location = answer.headers().get("location").cloned();
        (
            answer.status().as_u16(),
            location.map(|value| value.to_str().expect("text").to_owned()),
        )
    };
    let jwt = token(&Access::Container(id(ID)));
    assert_eq!(
        follow(&format!("?container={ID}&token={jwt}")).await,
        (303, Some(format!("/c/{ID}#token={jwt}")))
    );
    assert_eq!(
        follow(&format!("?container={ID}")).await,
        (303, Some(format!("/c/{ID}")))
    );
    assert_eq!(
        follow(&format!("?container={ID}&token=x%0d%0aset-cookie:a")).await,
        (303, Some(format!("/c/{ID}")))
    );
    for bad in ["", "?container=", "?container=//evil.example", "?token=x"] {
        assert_eq!(follow(bad).await, (400, None), "{bad}");
    }
}

#[tokio::test]
async fn keys_and_tokens_in_addresses_are_never_logged() {
    let data = TempDir::new().expect("a temporary folder");
    let key = create_key(&data);
    let jwt = token(&Access::Container(id(ID)));
    let wrong = "0badbad0.thisisnokey";
    let client = client();
    {
        let program = Program::start(&data, &client, &[("BUBBLE_LOG", "trace")]).await;
        let url = &program.url;
        let body = || cpu(clock::now(), &json!([haproxy(1)]));
        for key in [&key, wrong] {
            for path in [
                format!("/event/api/{key}"),
                format!("/event/api/{key}?recording=x"),
                format!("/event/api/{key}?recoding=x"),
                format!("/event/api/{key}/x"),
                format!("/event/api//{key}"),
            ] {
                for body in [body(), "{".to_owned()] {
                    let answer = client.post(format!("{url}{path}")).body(body).send().await;
                    let text = answer.expect("an answer").text().await.expect("text");
                    assert!(!text.contains(key), "{path}: {text}");
                }
            }
            let answer = client.get(format!("{url}/event/api/{key}")).send().await;
            let text = answer.expect("an answer").text().await.expect("text");
            assert!(!text.contains(key), "{text}");
            let header = format!("Bearer {key}");
            let request = client
                .post(format!("{url}/event"))
                .header("authorization", header);
            request.body(body()).send().await.expect("an answer");
        }
        for path in [
            "/static/index.html",
            "/static/other.html",
            "/container/x/cpu",
        ] {
            let link = format!("{url}{path}?container={ID}&token={jwt}");
            client.get(link).send().await.expect("an answer");
        }
        let metrics = client.get(format!("{url}/metrics")).send().await;
        let metrics = metrics.expect("an answer").text().await.expect("text");
        assert!(metrics.contains("/event/api/{key}"), "{metrics}");
        for secret in [&*key, wrong, &jwt] {
            assert!(!metrics.contains(secret), "{metrics}");
        }
    }
    let log = log_of(&data);
    assert!(log.contains("route=\"/event/api/{key}\""), "{log}");
    for secret in [&*key, wrong, &jwt] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn old_variables_are_understood_or_said_to_be_unused() {
    let data = TempDir::new().expect("a temporary folder");
    let client = client();
    let all = [
        ("BUBBLE_LOG", "info"),
        ("CASSANDRA_HOST", "10.0.0.9"),
        ("CASSANDRA_CLUSTER", "sysdig"),
        ("RABBITMQ_PASSWORD", "a password"),
        ("AUTH_DISABLE", "1"),
    ];
    let program = Program::start(&data, &client, &all).await;
    let list = || {
        client
            .get(format!("{}/api/v1/containers", program.url))
            .send()
    };
    assert_eq!(list().await.expect("an answer").status(), StatusCode::OK);
    let log = log_of(&data);
    for sentence in [
        "CASSANDRA_CLUSTER, CASSANDRA_HOST is not used: this version stores in SQLite only",
        "RABBITMQ_PASSWORD is not used",
        "anyone who reaches",
    ] {
        let line = log.lines().find(|line| line.contains(sentence));
        assert!(
            line.is_some_and(|line| line.contains("WARN")),
            "{sentence}: {log}"
        );
    }
    assert!(
        !log.contains("a password") && !log.contains("10.0.0.9"),
        "{log}"
    );
    drop(program);

    // The secret is that of the tokens; a switch that says no is none.
    let off = [("BUBBLE_LOG", "info"), ("AUTH_DISABLE", "false")];
    let program = Program::start(&data, &client, &off).await;
    let path = format!("{}/api/v1/containers", program.url);
    let answer = client.get(&path).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let request = client.get(&path).bearer_auth(token(&Access::Admin));
    assert_eq!(
        request.send().await.expect("an answer").status(),
        StatusCode::OK
    );
    assert!(!log_of(&data).contains("WARN"), "{}", log_of(&data));
}

/// The bodies that the original chisel posted of a capture: each row is what an
/// independent reader found in it.
#[tokio::test]
async fn the_original_chisels_bodies_are_the_captures_sums() {
    let paths = [
        "legacy/chisel-cpu.json",
        "legacy/chisel-fd.json",
        "captures/expected/502error.io.tsv",
    ];
    let [Some(cpu), Some(fd), Some(table)] = paths.map(shared) else {
        return;
    };
    let server = Server::start().await;
    for body in [&cpu, &fd] {
        told(&server, std::fs::read(body).expect("it can be read")).await;
    }
    let table = std::fs::read_to_string(table).expect("it can be read");
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
                // It posts the hundred largest rows: of a connection one direction may be missing.
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
