//! Access: tokens, API keys, and the secret.

use bubble_server::auth::token::{AUDIENCE, Access, Claims};
use bubble_server::clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::StatusCode;

use crate::common::{SECRET, Server, id, seconds, token};

const OWN: &str = "aaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbb";

fn claims() -> Claims {
    Claims {
        aud: AUDIENCE.to_owned(),
        exp: clock::now() + 600,
        jti: None,
        container: Some(OWN.to_owned()),
        admin: false,
        link: None,
    }
}

fn sign(algorithm: Algorithm, claims: &Claims, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).expect("a token")
}

async fn server() -> Server {
    let server = Server::start().await;
    let now = clock::now();
    let segments = vec![
        seconds(OWN, 1, now - 5, 1, 1),
        seconds(OTHER, 1, now - 5, 1, 1),
    ];
    assert_eq!(server.post(segments).await, (2, 0));
    server
}

#[tokio::test]
async fn a_token_reads_its_container_only() {
    let server = server().await;
    let own = token(&Access::Container(id(OWN)));
    let path = |id: &str, what: &str| format!("/api/v1/containers/{id}{what}");
    for what in [
        "",
        "/summary",
        "/life",
        "/table?kind=file",
        "/lanes",
        "/series?kind=file",
    ] {
        let answer = server.get_with(&path(OWN, what), &own).await;
        assert_eq!(answer.status(), StatusCode::OK, "{what}");
        let answer = server.get_with(&path(OTHER, what), &own).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{what}");
    }
    // Of two that are compared, both must be readable; an absent one is not told apart.
    for (with, status) in [
        (OWN, StatusCode::OK),
        (OTHER, StatusCode::FORBIDDEN),
        ("0123456789ab", StatusCode::FORBIDDEN),
    ] {
        let compare = path(OWN, &format!("/compare?with={with}"));
        let answer = server.get_with(&compare, &own).await;
        assert_eq!(answer.status(), status, "{with}");
    }
    let answer = server.get_with(&path(OTHER, "/live"), &own).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    for path in ["/api/v1/containers", "/api/v1/hosts"] {
        let answer = server.get_with(path, &own).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn an_id_in_full_is_the_same_container() {
    let server = server().await;
    let full = OWN.repeat(6)[..64].to_owned();
    let claims = Claims {
        container: Some(full.clone()),
        ..claims()
    };
    let token = sign(Algorithm::HS256, &claims, SECRET);
    let answer = server
        .get_with(&format!("/api/v1/containers/{full}"), &token)
        .await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_bad_token_is_401() {
    let server = server().await;
    let none = {
        // {"alg":"none","typ":"JWT"}, good claims, no signature.
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let claims = serde_json::to_vec(&claims()).expect("JSON");
        format!(
            "{}.{}.",
            engine.encode(br#"{"alg":"none","typ":"JWT"}"#),
            engine.encode(claims)
        )
    };
    let expired = Claims {
        exp: clock::now() - 60,
        ..claims()
    };
    let elsewhere = Claims {
        aud: "urn:cb/other".to_owned(),
        ..claims()
    };
    let nobody = Claims {
        container: None,
        ..claims()
    };
    let bad = [
        ("alg none", none),
        ("expired", sign(Algorithm::HS256, &expired, SECRET)),
        ("audience", sign(Algorithm::HS256, &elsewhere, SECRET)),
        (
            "another secret",
            sign(
                Algorithm::HS256,
                &claims(),
                "another secret of 32 bytes or more",
            ),
        ),
        ("nobody", sign(Algorithm::HS256, &nobody, SECRET)),
        ("garbage", "garbage".to_owned()),
        ("an API key", server.key.clone()),
    ];
    for (what, token) in bad {
        let answer = server
            .get_with(&format!("/api/v1/containers/{OWN}"), &token)
            .await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{what}");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(body["code"], "unauthorized", "{what}");
        assert_ne!(body["request_id"], "", "{what}");
    }
    let good = sign(Algorithm::HS256, &claims(), SECRET);
    let answer = server
        .client
        .get(format!("{}/api/v1/me", server.url))
        .header("authorization", format!("token {good}"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}

/// Tokens that the Python system took, or refused.
#[tokio::test]
async fn tokens_of_proxies_for_the_python_system_are_accepted() {
    let server = server().await;
    let now = clock::now();
    let sign = |algorithm, changes: serde_json::Value| {
        let mut claims = serde_json::json!({"aud": AUDIENCE, "exp": now + 600, "container": OWN});
        let (claims_map, changes) = (claims.as_object_mut(), changes.as_object().cloned());
        claims_map
            .expect("claims")
            .extend(changes.expect("changes"));
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).expect("a token")
    };
    for (what, status, algorithm, changes) in [
        ("HS384", 200, Algorithm::HS384, serde_json::json!({})),
        ("HS512", 200, Algorithm::HS512, serde_json::json!({})),
        (
            "exp with a fraction",
            200,
            Algorithm::HS256,
            serde_json::json!({"exp": now as f64 + 60.5}),
        ),
        (
            "a list",
            200,
            Algorithm::HS256,
            serde_json::json!({"aud": ["urn:x", AUDIENCE]}),
        ),
        (
            "nbf past",
            200,
            Algorithm::HS256,
            serde_json::json!({"nbf": now as f64 - 0.5}),
        ),
        (
            "nbf ahead",
            401,
            Algorithm::HS256,
            serde_json::json!({"nbf": now + 60}),
        ),
        (
            "nbf of text",
            401,
            Algorithm::HS256,
            serde_json::json!({"nbf": "never"}),
        ),
        (
            "a list of others",
            401,
            Algorithm::HS256,
            serde_json::json!({"aud": ["urn:x"]}),
        ),
        (
            "no audience",
            401,
            Algorithm::HS256,
            serde_json::json!({"aud": null}),
        ),
        (
            "exp past",
            401,
            Algorithm::HS256,
            serde_json::json!({"exp": now as f64 - 60.5}),
        ),
        (
            "exp negative",
            401,
            Algorithm::HS256,
            serde_json::json!({"exp": -1}),
        ),
        (
            "no exp",
            401,
            Algorithm::HS256,
            serde_json::json!({"exp": null}),
        ),
    ] {
        let token = sign(algorithm, changes);
        let path = format!("/container/{OWN}/cpu");
        let answer = server.get_with(&path, &token).await;
        assert_eq!(answer.status().as_u16(), status, "{what}");
    }
}

#[tokio::test]
async fn a_key_that_hosts_have_already_is_taken() {
    use bubble_server::auth::key;
    let mut server = server().await;
    let store = server.state.store.clone();
    let body = || crate::common::batch(Vec::new()).encode();
    for text in ["EERZERZEZT", "a.b", "0123456789abcdef.x", "k"] {
        server.key = text.to_owned();
        let status = server.post_bytes(body()).await.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
        let taken = key::existing(text, "me@mail.com", clock::now()).expect("a key");
        assert!(!taken.id.contains(text), "{}", taken.id);
        store.create_key(taken).await.expect("stored");
        assert_eq!(
            server.post_bytes(body()).await.status(),
            StatusCode::OK,
            "{text}"
        );
        assert!(store.delete_key(&key::id_of(text)).await.expect("answers"));
        let status = server.post_bytes(body()).await.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
    }
    for wrong in ["", "a b", "a/b", "caf\u{e9}", "a%2fb", &"k".repeat(513)] {
        assert!(key::existing(wrong, "me", 0).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_wrong_or_deleted_key_is_401_at_once() {
    let mut server = server().await;
    let good = server.key.clone();
    let body = || crate::common::batch(Vec::new()).encode();
    assert_eq!(server.post_bytes(body()).await.status(), StatusCode::OK);
    let (key_id, _) = good.split_once('.').expect("id and secret");
    for bad in [
        "",
        "x",
        "a.b",
        &format!("{key_id}.wrong"),
        &server.admin.clone(),
    ] {
        server.key = bad.to_owned();
        let status = server.post_bytes(body()).await.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{bad:?}");
    }
    server.key = good.clone();
    let used = server.state.store.key(key_id).await.expect("answers");
    assert!(used.is_some_and(|key| key.last_used > 0));
    assert!(
        server
            .state
            .store
            .delete_key(key_id)
            .await
            .expect("answers")
    );
    let status = server.post_bytes(body()).await.status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

/// RFC 7515, section 4.1.11: whoever does not know an extension must refuse the token.
#[tokio::test]
async fn a_token_that_requires_an_extension_is_refused() {
    use base64::Engine as _;
    let server = server().await;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = engine.encode(serde_json::to_vec(&claims()).expect("JSON"));
    for (header, status) in [
        (r#"{"alg":"HS256","typ":"JWT"}"#, 200),
        (r#"{"alg":"HS256","typ":"JWT","crit":["exp"]}"#, 401),
        (r#"{"alg":"HS256","crit":[]}"#, 401),
    ] {
        let message = format!("{}.{claims}", engine.encode(header));
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let tag = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
        let token = format!("{message}.{}", tag.expect("signed"));
        let path = format!("/api/v1/containers/{OWN}");
        let answer = server.get_with(&path, &token).await;
        assert_eq!(answer.status().as_u16(), status, "{header}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused() {
    let server = server().await;
    let own = token(&Access::Container(id(OWN)));
    // Others sign tokens without an id.
    let foreign = sign(Algorithm::HS256, &claims(), SECRET);
    for (name, token) in [("own", own), ("foreign", foreign)] {
        let path = format!("/api/v1/containers/{OWN}");
        // A server that has not read the list of revoked tokens yet.
        let url = server.also(fresh(&server)).await;
        let ask = async |url: &str| {
            let request = server
                .client
                .get(format!("{url}{path}"))
                .bearer_auth(&token);
            request.send().await.expect("an answer").status()
        };
        assert_eq!(ask(&url).await, StatusCode::OK, "{name}");
        let valid = bubble_server::auth::token::check(&server.state.secret, &token);
        let valid = valid.expect("a token");
        let store = &server.state.store;
        store
            .revoke_token(&valid.id, valid.expires)
            .await
            .expect("revoked");
        let url = server.also(fresh(&server)).await;
        assert_eq!(ask(&url).await, StatusCode::UNAUTHORIZED, "{name}");
    }
}

/// The state of another server on the same store.
fn fresh(server: &Server) -> bubble_server::http::state::AppState {
    bubble_server::http::state::AppState {
        revoked: Default::default(),
        ..server.state.clone()
    }
}

#[tokio::test]
async fn an_address_with_many_wrong_tokens_must_wait() {
    let server = server().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}/api/v1/me", listener.local_addr().expect("bound"));
    let app = bubble_server::http::app(server.state.clone())
        .into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let ask = async |token: &str| {
        let request = server.client.get(&url).bearer_auth(token);
        request.send().await.expect("an answer")
    };
    assert_eq!(ask(&server.admin).await.status(), StatusCode::OK);
    let mut answers = Vec::new();
    for number in 0..400 {
        let answer = ask(&format!("wrong-{number}")).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after"));
            answers.push(number);
            break;
        }
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(answers.len(), 1, "no limit");
    // Who was known before goes on.
    assert_eq!(ask(&server.admin).await.status(), StatusCode::OK);
}

#[test]
fn a_secret_is_long_enough_or_made() {
    use std::os::unix::fs::PermissionsExt as _;

    use bubble_server::auth::secret::Secret;
    let error = Secret::new("short").expect_err("too short");
    assert!(error.to_string().contains("at least 32"));
    assert!(error.to_string().contains("--accept-short-secret"));
    // Never trimmed: the Python system signed with the variable as it is.
    let secret = Secret::of_any_length(" mytoken ").expect("it has bytes");
    assert_eq!(
        (secret.bytes(), secret.is_short()),
        (&b" mytoken "[..], true)
    );
    assert!(Secret::of_any_length("").is_err());
    let data = tempfile::TempDir::new().expect("a folder");
    let (first, made) = Secret::of_data(data.path()).expect("made");
    let path = made.expect("says where");
    let mode = std::fs::metadata(&path)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let (second, made) = Secret::of_data(data.path()).expect("read");
    assert_eq!(made, None);
    assert_eq!(first.bytes(), second.bytes());
}
