//! Shared links: what they show, and nothing else; how they are made, listed and revoked.

use bubble_common::segment::builder::Builder;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::process::{Cpu, Process, ProcessId};
use bubble_common::segment::{Coverage, Key, Resolution, Segment, SourceId};
use bubble_server::auth::token::{AUDIENCE, Access, Claims, Link, LinkClaim};
use bubble_server::clock;
use bubble_server::query::Ask;
use bubble_server::span::extent::Extent;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{SECRET, Server, batch, client, id, seconds, token};
use crate::program::{Program, create_key};

const OWN: &str = "aaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbb";
/// CPU of a second within the range, ns.
const NS: u64 = 1_000_000;
/// CPU of a second outside of it.
const OUTSIDE_NS: u64 = 77_000_000;

/// A second in which a program ran that must not be seen.
fn hidden(at: u64) -> Segment {
    let key = Key {
        container: id(OWN),
        resolution: Resolution::Second,
        start: at,
        source: SourceId([2; 16]),
    };
    let mut builder = Builder::new(key, 1);
    let process = ProcessId {
        pid: 77,
        start: at * 1_000_000_000,
        exec: 1,
    };
    let process = builder.process(Process::new(process, "intruder"));
    let file = builder.file(File {
        path: "/hidden".to_owned(),
        kind: FileKind::Regular,
    });
    builder.cover(0, Coverage::SECOND);
    builder.cpu(process, 0, 0, Cpu { ns: OUTSIDE_NS });
    let io = FileIo {
        bytes_in: 1,
        ops_in: 1,
        ..FileIo::default()
    };
    builder.file_io(process, file, 0, io);
    builder.build()
}

/// A server with three minutes of a container. The middle one is shared. Returns its start.
async fn shared_minute(age: u64) -> (Server, u64) {
    let server = Server::start().await;
    let start = (clock::now() - age) / 60 * 60;
    let segments = vec![
        seconds(OWN, 1, start - 60, 60, OUTSIDE_NS),
        seconds(OWN, 1, start, 60, NS),
        seconds(OWN, 1, start + 60, 60, OUTSIDE_NS),
        hidden(start - 1),
        hidden(start + 60),
        seconds(OTHER, 1, start, 60, OUTSIDE_NS),
    ];
    assert_eq!(server.post(segments).await, (6, 0));
    (server, start)
}

fn link(extent: Extent) -> String {
    token(&Access::Link(Link {
        container: id(OWN),
        extent,
        by: None,
    }))
}

/// Sends a request with a token. Returns status and body.
async fn ask(server: &Server, method: Method, path: &str, token: &str) -> (StatusCode, String) {
    let url = format!("{}{path}", server.url);
    let request = server.client.request(method, url).bearer_auth(token);
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.text().await.expect("a body"))
}

/// The routes of the description, with their methods.
fn routes() -> Vec<(Method, String)> {
    let description = bubble_server::http::openapi().to_json().expect("JSON");
    let description: Value = serde_json::from_str(&description).expect("JSON");
    let paths = description["paths"].as_object().expect("paths");
    let methods = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods");
        methods.keys().map(|method| {
            let method = method.to_uppercase().parse().expect("a method");
            (method, path.clone())
        })
    });
    let routes: Vec<_> = methods.collect();
    assert!(routes.len() > 15, "{routes:?}");
    routes
}

#[tokio::test]
async fn a_link_reads_no_other_route_than_those_of_its_container() {
    let (server, start) = shared_minute(1_800).await;
    let range = link(Extent::Span(start..start + 60));
    let life = link(Extent::Life);
    let filled = |path: &str, id: &str| {
        let path = path.replace("{id}", id).replace("{host}", "node7");
        path.replace("{share}", "0")
    };
    let mut read = 0;
    for (method, route) in routes() {
        let is_read = method == Method::GET;
        let expected = match &route[..] {
            "/ping" | "/metrics" => (200, 200),
            // It is no key.
            "/api/v1/batch" | "/api/v1/watch" => (401, 401),
            "/api/v1/containers/{id}/live" => (403, 200),
            // It does not say of what.
            "/api/v1/containers/{id}/series" => (400, 400),
            // 503 if the server was built without its page.
            "/api/v1/containers/{id}/file" if is_read => {
                read += 1;
                (200, 200)
            }
            "/api/v1/me"
            | "/api/v1/containers/{id}"
            | "/api/v1/containers/{id}/summary"
            | "/api/v1/containers/{id}/life"
            | "/api/v1/containers/{id}/table"
            | "/api/v1/containers/{id}/lanes"
                if is_read =>
            {
                read += 1;
                (200, 200)
            }
            _ => (403, 403),
        };
        let path = filled(&route, OWN);
        for (token, expected) in [(&range, expected.0), (&life, expected.1)] {
            // A stream does not end by itself.
            let url = format!("{}{path}", server.url);
            let request = server.client.request(method.clone(), url);
            let answer = request.bearer_auth(token).send().await.expect("an answer");
            let status = answer.status().as_u16();
            let is_without_page = route.ends_with("/file") && status == 503;
            assert!(
                status == expected || is_without_page,
                "{method} {path}: {status}"
            );
        }
        if route.contains("{id}") {
            let (status, body) = ask(&server, method.clone(), &filled(&route, OTHER), &life).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} {route}: {body}");
            assert!(body.contains("link") || body.contains("another"), "{body}");
        }
        if expected.0 == 200 && route.starts_with("/api/") {
            for outside in [
                format!("from={}", start - 1),
                format!("to={}", start + 61),
                format!("at={}", start - 1),
                "from=0".to_owned(),
                "from=NaN".to_owned(),
            ] {
                let path = format!("{path}?{outside}");
                let (status, body) = ask(&server, method.clone(), &path, &range).await;
                assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {body}");
                assert!(body.contains("this link shows the time from"), "{body}");
            }
        }
    }
    assert_eq!(read, 7);
    for path in ["cpu", "cpu/77", "proc", "mem", "io", "io?interval=s"] {
        let path = format!("/container/{OWN}/{path}");
        let (status, _) = ask(&server, Method::GET, &path, &life).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_link_to_a_range_shows_nothing_of_other_times() {
    // The seconds of three hours ago have expired, so minutes answer.
    for (age, is_rolled_up) in [(1_800, false), (1_800, true), (3 * 3_600, true)] {
        let (server, start) = shared_minute(age).await;
        if is_rolled_up {
            server.roll_up(clock::now()).await;
        }
        let token = link(Extent::Span(start..start + 60));
        let of = |what: &str| format!("/api/v1/containers/{OWN}{what}");
        for path in [
            of(""),
            of("/life"),
            of("/summary"),
            of("/summary?step=86400"),
            of("/summary?step=3600&top=1000"),
            of(&format!("/summary?from={start}&to={}", start + 60)),
            of(&format!("/summary?step=3600&at={}", start + 59)),
            of("/table?kind=process&step=86400"),
            of("/table?kind=file&step=86400"),
            of("/table?kind=cpu&step=3600"),
            of("/table?kind=event"),
        ] {
            let (status, body) = ask(&server, Method::GET, &path, &token).await;
            assert_eq!(status, StatusCode::OK, "{path}: {body}");
            for hidden in ["intruder", "/hidden", "77000000"] {
                assert!(!body.contains(hidden), "{age} {path}: {body}");
            }
        }
        let all = Ask {
            from: Some(0.0),
            step: Some(1),
            extent: Some(Extent::Span(start..start + 60)),
            ..Ask::default()
        };
        let saved = server.state.query.saved(&id(OWN), &all).await;
        let saved = String::from_utf8(saved.expect("answers")).expect("JSON");
        for hidden in ["intruder", "/hidden", "77000000"] {
            assert!(!saved.contains(hidden), "{age}: {saved}");
        }
        let (_, summary) = ask(&server, Method::GET, &of("/summary?step=86400"), &token).await;
        let summary: Value = serde_json::from_str(&summary).expect("JSON");
        assert_eq!(summary["accounting"]["process_cpu_ns"], 60 * NS, "{age}");
        let item = &summary["container"];
        for sum in ["cpu_ns", "memory_peak", "bytes_in", "cpu_now", "posted_by"] {
            assert_eq!(item[sum], Value::Null, "{sum}");
        }
        assert_eq!(item["spark"], json!([]));
        assert_eq!(item["name"], "web");
        // Whose link is for all of it sees all.
        let (_, all) = ask(&server, Method::GET, &of("/life"), &link(Extent::Life)).await;
        let (_, part) = ask(&server, Method::GET, &of("/life"), &token).await;
        let slots = |text: &str| {
            let life: Value = serde_json::from_str(text).expect("JSON");
            let known = life["covered"].as_array().expect("slots").iter();
            let step = life["step"].as_f64().expect("a step");
            known
                .map(|part| part.as_f64().expect("a part") * step)
                .sum::<f64>()
        };
        assert_eq!(slots(&part), 60.0, "{age}: {part}");
        assert!(slots(&all) >= 180.0, "{age}: {all}");
    }
}

/// Makes a link by the API.
async fn create(server: &Server, token: &str, body: Value) -> (StatusCode, Value) {
    let request = server.client.post(format!("{}/api/v1/shares", server.url));
    let answer = request.bearer_auth(token).json(&body).send().await;
    let answer = answer.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

async fn listed(server: &Server, token: &str, of: &str) -> Vec<String> {
    let answer = server.get_with(&format!("/api/v1/shares{of}"), token).await;
    let list: Value = answer.json().await.expect("JSON");
    let shares = list["shares"].as_array().expect("links").iter();
    let id = |share: &Value| share["id"].as_str().expect("an id").to_owned();
    shares.map(id).collect()
}

#[tokio::test]
async fn links_are_made_listed_and_revoked() {
    let (server, start) = shared_minute(600).await;
    let (admin, own) = (server.admin.clone(), token(&Access::Container(id(OWN))));
    let range =
        json!({"container": OWN, "from": start + 1, "to": (start + 59) as f64 + 0.5, "days": 7});
    let (status, made) = create(&server, &admin, range).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["share"]["from"], json!(start as f64));
    assert_eq!(made["share"]["to"], json!((start + 60) as f64));
    let link = made["token"].as_str().expect("a token");
    let expected = format!("/c/{OWN}?from={start}&to={}#token={link}", start + 60);
    assert_eq!(made["path"], expected);
    let me: Value = server
        .get_with("/api/v1/me", link)
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(me["container"], OWN);
    assert_eq!(me["shared"]["to"], json!((start + 60) as f64));
    assert_eq!(me["admin"], false);
    // A reader of the container shares it, and nothing longer than they may read it.
    let life = json!({"container": OWN, "days": 30});
    let (status, theirs) = create(&server, &own, life).await;
    assert_eq!(status, StatusCode::CREATED, "{theirs}");
    let expires = theirs["share"]["expires"].as_f64().expect("a time");
    assert!(expires < (clock::now() + 3_600) as f64, "{theirs}");
    let other = json!({"container": OTHER, "days": 1});
    assert_eq!(
        create(&server, &own, other.clone()).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        create(&server, link, other.clone()).await.0,
        StatusCode::FORBIDDEN
    );
    let (_, others) = create(&server, &admin, other).await;
    let others = others["share"]["id"].as_str().expect("an id").to_owned();
    for wrong in [
        json!({"container": OWN, "days": 0}),
        json!({"container": OWN, "days": 31}),
        json!({"container": OWN, "days": 1, "from": 5}),
        json!({"container": OWN, "days": 1, "from": 5, "to": 5}),
        json!({"container": OWN, "days": 1, "until": 5}),
    ] {
        let (status, body) = create(&server, &admin, wrong.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {body}");
    }
    let unknown = json!({"container": "cccccccccccc", "days": 1});
    assert_eq!(
        create(&server, &admin, unknown).await.0,
        StatusCode::NOT_FOUND
    );
    // Each sees the links of what they may read.
    assert_eq!(listed(&server, &admin, "").await.len(), 3);
    assert_eq!(listed(&server, &own, "").await.len(), 2);
    assert_eq!(
        listed(&server, &admin, &format!("?container={OTHER}")).await,
        std::slice::from_ref(&others)
    );
    let path = |id: &str| format!("/api/v1/shares/{id}");
    let (status, _) = ask(&server, Method::DELETE, &path(&others), &own).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let made_id = made["share"]["id"].as_str().expect("an id");
    let (status, _) = ask(&server, Method::DELETE, &path(made_id), &own).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, body) = ask(&server, Method::GET, "/api/v1/me", link).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(
        body.contains("link_revoked") && body.contains("was revoked"),
        "{body}"
    );
    // A link ends with the token of the container by which it was made, and its streams with it.
    let link = theirs["token"].as_str().expect("a token");
    let stream = server
        .get_with(&format!("/api/v1/containers/{OWN}/live"), link)
        .await;
    assert_eq!(stream.status(), StatusCode::OK);
    let valid = bubble_server::auth::token::check(&server.state.secret, &own).expect("valid");
    let store = &server.state.store;
    store
        .revoke_token(&valid.id, valid.expires)
        .await
        .expect("revoked");
    server.state.revoked.forget().await;
    let (status, _) = ask(&server, Method::GET, "/api/v1/me", link).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    stream.bytes().await.expect("the stream ends");
}

#[tokio::test]
async fn an_expired_link_says_so() {
    let (server, _) = shared_minute(600).await;
    let claims = |exp: u64, from: Option<u64>| Claims {
        aud: AUDIENCE.to_owned(),
        exp,
        jti: Some("abc".to_owned()),
        container: None,
        admin: true,
        link: Some(LinkClaim {
            container: OWN.to_owned(),
            from,
            to: from.map(|from| from + 60),
            by: None,
        }),
    };
    let sign = |claims: &Claims| {
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        jsonwebtoken::encode(&header, claims, &key).expect("a token")
    };
    let path = format!("/api/v1/containers/{OWN}");
    let expired = sign(&claims(clock::now() - 60, None));
    let (status, body) = ask(&server, Method::GET, &path, &expired).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(
        body.contains("link_expired") && body.contains("this link has expired"),
        "{body}"
    );
    // Of several claims the narrowest counts.
    let narrow = sign(&claims(clock::now() + 60, Some(0)));
    let (status, _) = ask(&server, Method::GET, "/api/v1/hosts", &narrow).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let mut reversed = claims(clock::now() + 60, Some(60));
    reversed.link.as_mut().expect("a link").to = Some(60);
    let (status, _) = ask(&server, Method::GET, &path, &sign(&reversed)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn links_are_made_listed_and_revoked_by_command() {
    let (data, client) = (TempDir::new().expect("a folder"), client());
    let program = Program::start(&data, &client, &[]).await;
    let key = create_key(&data, &[]);
    let start = clock::now() / 60 * 60 - 60;
    let body = batch(vec![seconds(OWN, 1, start, 60, NS)]).encode();
    let posted = program.post(&client, &key, body).await.expect("an answer");
    assert_eq!(posted.status(), StatusCode::OK);
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_bubble-server"))
            .args(args)
            .arg("--data")
            .arg(data.path())
            .env_clear()
            .env("AUTH_SECRET", SECRET)
            .output()
            .expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (from, to) = (start.to_string(), (start + 30).to_string());
    let (_, path, error) = run(&[
        "share", "create", OWN, "--from", &from, "--to", &to, "--days", "1",
    ]);
    let (_, token) = path.trim().split_once("#token=").expect(&error);
    let me = async || {
        let request = client.get(format!("{}/api/v1/me", program.url));
        request
            .bearer_auth(token)
            .send()
            .await
            .expect("an answer")
            .status()
    };
    assert_eq!(me().await, StatusCode::OK);
    let (_, list, _) = run(&["share", "list"]);
    let line = list.lines().nth(1).expect("a link").to_owned();
    assert!(line.contains(&format!("{start}-{}", start + 60)), "{list}");
    let id = line.split('\t').next().expect("an id");
    assert!(run(&["share", "revoke", id]).0);
    assert!(run(&["share", "list"]).1.trim_end().ends_with("yes"));
    // A server that runs reads the list again after some seconds.
    while me().await != StatusCode::UNAUTHORIZED {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for (args, words) in [
        (&["share", "revoke", "none"][..], "share list"),
        (
            &["share", "create", "cccccccccccc"],
            "there is no container",
        ),
        (&["share", "create", OWN, "--from", "5"], "--to"),
        (
            &["share", "create", OWN, "--from", "5", "--to", "5"],
            "before --to",
        ),
    ] {
        let (success, _, error) = run(args);
        assert!(!success && error.contains(words), "{args:?}: {error}");
    }
}
