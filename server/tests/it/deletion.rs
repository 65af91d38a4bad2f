//! Deleting containers over the API and by the program.

use bubble_server::auth::token::Access;
use bubble_server::clock;
use reqwest::StatusCode;
use serde_json::json;

use crate::common::{Server, id, seconds, token};

const OLD: &str = "aaaaaaaaaaaa";
const NEW: &str = "bbbbbbbbbbbb";
const RUNS: &str = "cccccccccccc";

async fn server() -> Server {
    let server = Server::start().await;
    let now = clock::now();
    let segments = vec![
        seconds(OLD, 1, now - 20 * 3_600, 2, 7),
        seconds(NEW, 1, now - 600, 2, 7),
        seconds(RUNS, 1, now - 5, 2, 7),
    ];
    assert_eq!(server.post(segments).await, (3, 0));
    server
}

async fn delete(server: &Server, path: &str, token: &str) -> StatusCode {
    let request = server.client.delete(format!("{}{path}", server.url));
    let answer = request.bearer_auth(token).send().await.expect("an answer");
    answer.status()
}

async fn ids(server: &Server) -> Vec<String> {
    let list = server.json("/api/v1/containers?sort=name").await;
    let list = list["containers"].as_array().cloned().unwrap_or_default();
    let id = |item: &serde_json::Value| item["id"].as_str().map(str::to_owned);
    let mut ids: Vec<String> = list.iter().filter_map(id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn an_administrator_deletes_one_container() {
    let server = server().await;
    let path = |id: &str| format!("/api/v1/containers/{id}");
    let own = token(&Access::Container(id(OLD)));
    let admin = &server.admin;
    assert_eq!(
        delete(&server, &path(OLD), &own).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        delete(&server, &path(OLD), &server.key).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        delete(&server, &path(RUNS), admin).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        delete(&server, &path("unknown"), admin).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        delete(&server, &path(OLD), admin).await,
        StatusCode::NO_CONTENT
    );
    server.roll_up(clock::now()).await;
    assert_eq!(ids(&server).await, [NEW, RUNS]);
    let answer = server.get(&path(OLD)).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        server.json(&format!("/container/{OLD}/cpu")).await,
        json!({})
    );
}

#[tokio::test]
async fn an_administrator_deletes_old_containers() {
    let server = server().await;
    let path = "/api/v1/containers?older_than=36000";
    let own = token(&Access::Container(id(OLD)));
    assert_eq!(delete(&server, path, &own).await, StatusCode::FORBIDDEN);
    assert_eq!(
        delete(&server, "/api/v1/containers", &server.admin).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(ids(&server).await, [OLD, NEW, RUNS]);
    assert_eq!(delete(&server, path, &server.admin).await, StatusCode::OK);
    server.roll_up(clock::now()).await;
    assert_eq!(ids(&server).await, [NEW, RUNS]);
    assert_eq!(
        delete(&server, "/api/v1/containers?older_than=0", &server.admin).await,
        StatusCode::OK
    );
    server.roll_up(clock::now()).await;
    assert_eq!(ids(&server).await, [RUNS]);
}

/// `bc_clean` kept a capture as long as any other container that was posted then.
#[tokio::test]
async fn a_capture_is_as_old_as_its_post() {
    let server = Server::start().await;
    let segment = seconds(OLD, 1, 1_506_127_481, 2, 7);
    let body = crate::common::batch(vec![segment]).encode();
    let answer = server.post_to("/api/v1/batch?recording=old", body).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let day = "/api/v1/containers?older_than=86400";
    assert_eq!(delete(&server, day, &server.admin).await, StatusCode::OK);
    server.roll_up(clock::now()).await;
    assert_eq!(ids(&server).await, [OLD]);
    let path = format!("/api/v1/containers/{OLD}");
    assert_eq!(
        delete(&server, &path, &server.admin).await,
        StatusCode::NO_CONTENT
    );
    server.roll_up(clock::now()).await;
    let recordings = server.json("/api/v1/recordings").await;
    assert_eq!(recordings["recordings"], json!([]));
}

/// The last seconds of a container stay after its end, as long as its minutes.
#[tokio::test]
async fn the_seconds_of_an_ended_container_stay() {
    let server = Server::start().await;
    let now = clock::now();
    let start = (now - 600) / 60 * 60;
    server.post(vec![seconds(NEW, 1, start, 30, 7)]).await;
    let path = format!(
        "/api/v1/containers/{NEW}/summary?from={start}&to={}",
        start + 60
    );
    for (later, step) in [(0, 1), (7_200, 1), (86_400, 1)] {
        server.roll_up(now + later).await;
        assert_eq!(server.json(&path).await["range"]["step"], step, "{later}");
        let legacy = server.json(&format!("/container/{NEW}/cpu")).await;
        assert_eq!(legacy["4242"].as_array().map(Vec::len), Some(30), "{later}");
    }
    server.roll_up(now + 2 * 86_400 + 60).await;
    assert_eq!(
        server.json(&format!("/container/{NEW}/cpu")).await,
        json!({})
    );
}

#[tokio::test]
async fn an_administrator_deletes_a_host() {
    let server = server().await;
    let own = token(&Access::Container(id(OLD)));
    let admin = &server.admin;
    for (path, token, status) in [
        ("/api/v1/hosts/node7", &own, StatusCode::FORBIDDEN),
        ("/api/v1/hosts/node8", admin, StatusCode::NOT_FOUND),
        (
            "/api/v1/hosts/node7?owner=others",
            admin,
            StatusCode::NOT_FOUND,
        ),
        (
            "/api/v1/hosts/node7?owner=tests",
            admin,
            StatusCode::NO_CONTENT,
        ),
        ("/api/v1/hosts/node7", admin, StatusCode::NOT_FOUND),
    ] {
        assert_eq!(delete(&server, path, token).await, status, "{path}");
    }
    assert_eq!(server.json("/api/v1/hosts").await["hosts"], json!([]));
    assert_eq!(ids(&server).await.len(), 3, "its containers stay");
}
