//! The running program: its log, and the variables of the Python system.

use bubble_server::auth::token::Access;
use bubble_server::clock;
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;

use super::{ID, cpu, haproxy};
use crate::common::{client, id, token};
use crate::program::{Program, create_key, log_of};

#[tokio::test]
async fn keys_and_tokens_in_addresses_are_never_logged() {
    let data = TempDir::new().expect("a temporary folder");
    let key = create_key(&data, &[]);
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
async fn old_variables_work_or_cause_a_warning() {
    let data = TempDir::new().expect("a temporary folder");
    let client = client();
    let all = [
        ("BUBBLE_LOG", "info"),
        ("INFLUXDB_HOST", "10.0.0.9"),
        ("INFLUXDB_DB", "sysdig"),
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
        "INFLUXDB_DB, INFLUXDB_HOST is not used: this version stores in SQLite or in Cassandra",
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

    // AUTH_SECRET signs the tokens; AUTH_DISABLE=false disables nothing.
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

/// `mytoken` is the secret of the Python system's example, and `test_token.py` signs with it.
#[tokio::test]
async fn a_short_secret_needs_a_switch_and_is_warned_about() {
    let data = TempDir::new().expect("a temporary folder");
    let client = client();
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_bubble-server"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .env("AUTH_SECRET", "mytoken")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && text.contains("--accept-short-secret"),
        "{text}"
    );

    let variables = [
        ("AUTH_SECRET", "mytoken"),
        ("BUBBLE_ACCEPT_SHORT_SECRET", "1"),
        ("BUBBLE_LOG", "info"),
        ("BUBBLE_SECRET", ""),
    ];
    let program = Program::start(&data, &client, &variables).await;
    let claims = json!({"container": ID, "exp": clock::now() + 60, "aud": "urn:cb/stat"});
    let key = jsonwebtoken::EncodingKey::from_secret(b"mytoken");
    let jwt = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key);
    let request = client.get(format!("{}/container/{ID}/proc", program.url));
    let request = request.header("authorization", format!("token {}", jwt.expect("a token")));
    assert_eq!(
        request.send().await.expect("an answer").status(),
        StatusCode::OK
    );
    let log = log_of(&data);
    let line = log
        .lines()
        .find(|line| line.contains("shorter than 32 bytes"));
    assert!(line.is_some_and(|line| line.contains("WARN")), "{log}");
    assert!(!log.contains("mytoken"), "{log}");
}
