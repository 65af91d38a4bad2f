//! What agents learn of who looks at their containers.

use std::sync::Arc;
use std::time::Duration;

use bubble_server::auth::key;
use bubble_server::auth::token::Access;
use bubble_server::http::batch::MEDIA_TYPE;
use bubble_server::http::state::{AppState, Limits};
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::{clock, http};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::common::{Server, batch, client, seconds, secret, token};
use crate::store::backend::on_every_store;

const ID: &str = "aaaaaaaaaaaa";
/// Time for what the server tells at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks as the agent of `host`, with the key `key`.
async fn ask(server: &Server, key: &str, host: &str, version: Option<&Value>) -> Value {
    let version = version.and_then(Value::as_str);
    let version = version.map_or(String::new(), |version| format!("&version={version}"));
    let path = format!("/api/v1/watch?host={host}{version}");
    let asked = server.get_with(&path, key);
    let answer = tokio::time::timeout(TIMEOUT, asked).await.expect("in time");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn an_agent_learns_at_once_that_somebody_looks() {
    let server = Server::start().await;
    let now = clock::now();
    server.post(vec![seconds(ID, 1, now - 3, 1, 7)]).await;
    let nobody = ask(&server, &server.key, "node7", None).await;
    assert_eq!(nobody["containers"], json!([]));
    let changed = ask(&server, &server.key, "node7", Some(&nobody["version"]));
    let look = async {
        // The agent waits already, or gets the answer at once.
        server.get(&format!("/api/v1/containers/{ID}/live")).await
    };
    let (watched, stream) = tokio::join!(changed, look);
    assert_eq!(stream.status(), 200);
    assert_eq!(watched["containers"], json!([ID]));

    // Other hosts and other owners have nothing to do with it.
    let (text, other) = bubble_server::auth::key::create("others", now);
    server.state.store.create_key(other).await.expect("a key");
    for (key, host) in [(&server.key, "node8"), (&text, "node7")] {
        let answer = ask(&server, key, host, None).await;
        assert_eq!(answer["containers"], json!([]), "{host}");
    }
    drop(stream);
}

#[tokio::test]
async fn only_agents_may_ask_and_only_so_many_at_a_time() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let server = Server::with_limits(limits).await;
    let path = "/api/v1/watch?host=node7";
    assert_eq!(server.get(path).await.status(), 401, "a token is no key");
    assert_eq!(
        server.get_with("/api/v1/watch", &server.key).await.status(),
        400
    );
    let first = ask(&server, &server.key, "node7", None).await;
    let version = first["version"].as_str().expect("a version");
    let same = format!("{path}&version={version}");
    let mut waiting = Box::pin(server.get_with(&same, &server.key));
    // Once it waits, there is no room for another. Those without a version are answered at once, so
    // they take no place from it.
    let refused = async {
        while server.get_with(path, &server.key).await.status() != 429 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = &mut waiting => panic!("it does not wait"),
        () = refused => {}
    }
}

async fn a_viewer_of_one_server_is_known_to_the_agents_of_another(store: Arc<dyn Store>) {
    let (text, new) = key::create("tests", clock::now());
    store.create_key(new).await.expect("a key");
    let (_stop, stopped) = watch::channel(false);
    let mut urls = Vec::new();
    for _ in 0..2 {
        let (limits, retention) = (Limits::default(), Retention::default());
        let store = Arc::clone(&store);
        let state = AppState::new(store, secret(), retention, limits, stopped.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        urls.push(format!("http://{}", listener.local_addr().expect("bound")));
        tokio::spawn(http::serve(listener, state));
    }
    let client = client();
    let get = async |url: String, bearer: &str| -> Response {
        let sent = client.get(url).bearer_auth(bearer).send();
        let answer = sent.await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    };
    let segment = seconds(ID, 1, clock::now() - 3, 1, 7);
    let post = client.post(format!("{}/api/v1/batch", urls[0]));
    let post = post.bearer_auth(&text).header("content-type", MEDIA_TYPE);
    let posted = post.body(batch(vec![segment]).encode()).send().await;
    assert_eq!(posted.expect("an answer").status(), 200);

    let path = format!("{}/api/v1/watch?host=node7", urls[1]);
    let nobody: Value = get(path.clone(), &text).await.json().await.expect("JSON");
    assert_eq!(nobody["containers"], json!([]));
    let live = format!("{}/api/v1/containers/{ID}/live", urls[0]);
    let stream = get(live, &token(&Access::Admin)).await;
    let version = nobody["version"].as_str().expect("a version");
    let watched = get(format!("{path}&version={version}"), &text).await;
    let watched: Value = watched.json().await.expect("JSON");
    assert_eq!(watched["containers"], json!([ID]));
    drop(stream);
}

on_every_store!(a_viewer_of_one_server_is_known_to_the_agents_of_another);
