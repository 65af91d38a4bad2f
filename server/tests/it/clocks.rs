//! Wrong clocks.

use std::time::Duration;

use bubble_common::segment::Resolution;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::store::segments::Segments as _;
use bubble_server::store::sqlite::Sqlite;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{batch, client, seconds, token};
use crate::program::{Program, create_key, log_of, run};

const ID: &str = "aaaaaaaaaaaa";

/// Sets the clock 400 days ahead.
const AHEAD: (&str, &str) = ("BUBBLE_CLOCK_OFFSET", "34560000");

/// Waits until rows have expired: that tells the time after a restart.
async fn has_expired(data: &TempDir) {
    let store = Sqlite::beside(data.path()).expect("the store opens");
    while store
        .expired_before(Resolution::Second)
        .await
        .expect("it answers")
        == 0
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the server finds its clock ahead.
async fn is_suspect(program: &Program, client: &Client) {
    loop {
        let answer = client.get(format!("{}/metrics", program.url)).send().await;
        let text = answer.expect("an answer").text().await.expect("text");
        if text
            .lines()
            .any(|line| line == "bubble_server_clock_suspect 1")
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_stays_revoked_when_the_clock_jumps_ahead() {
    let (data, client) = (TempDir::new().expect("a temporary folder"), client());
    let make = ["token", "--admin", "--days", "30"];
    let revoked = run(&data, &make, &[]);
    run(&data, &["token", "revoke", &revoked], &[]);
    let mut program = Program::start(&data, &client, &[]).await;
    has_expired(&data).await;
    program.stop();

    let mut program = Program::start(&data, &client, &[AHEAD]).await;
    is_suspect(&program, &client).await;
    run(&data, &make, &[AHEAD]);
    program.stop();

    let program = Program::start(&data, &client, &[]).await;
    let url = format!("{}/api/v1/containers", program.url);
    let status = async |token: &str| {
        let answer = client.get(&url).bearer_auth(token).send().await;
        answer.expect("an answer").status()
    };
    assert_eq!(status(&revoked).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&run(&data, &make, &[])).await, StatusCode::OK);
    let listed = run(&data, &["token", "list"], &[]);
    assert_eq!(listed.matches("\tyes").count(), 1, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_deletes_nothing() {
    let (data, client) = (TempDir::new().expect("a temporary folder"), client());
    let key = create_key(&data, &[]);
    let start = Resolution::Second.packed_start(clock::now() - 600);
    let mut program = Program::start(&data, &client, &[]).await;
    for minute in 0..5 {
        let body = batch(vec![seconds(ID, 1, start + 60 * minute, 60, 7)]).encode();
        let answer = program.post(&client, &key, body).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
    has_expired(&data).await;
    program.stop();

    let mut program = Program::start(&data, &client, &[AHEAD, ("BUBBLE_LOG", "warn")]).await;
    is_suspect(&program, &client).await;
    assert!(log_of(&data).contains("the clock is ahead"));
    program.stop();

    let program = Program::start(&data, &client, &[]).await;
    let admin = token(&Access::Admin);
    let url = format!(
        "{}/api/v1/containers/{ID}/summary?from={start}&to={}&step=1",
        program.url,
        start + 300
    );
    let summary = client.get(url).bearer_auth(admin).send().await;
    let summary: Value = summary.expect("an answer").json().await.expect("JSON");
    assert_eq!(summary["accounting"]["process_cpu_ns"], 5 * 60 * 7);
    assert_eq!(summary["range"]["resolution"], "second");
}
