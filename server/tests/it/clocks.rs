//! Wrong clocks.

use std::time::Duration;

use bubble_common::segment::Resolution;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::store::segments::Segments as _;
use bubble_server::store::sqlite::Sqlite;
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{batch, client, seconds, token};
use crate::program::{Program, create_key, log_of};

const ID: &str = "aaaaaaaaaaaa";

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
    // What has expired tells the time after a restart.
    let store = Sqlite::beside(data.path()).expect("the store opens");
    while store
        .expired_before(Resolution::Second)
        .await
        .expect("it answers")
        == 0
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(store);
    program.stop();

    let ahead = (400 * 86_400).to_string();
    let variables = [("BUBBLE_CLOCK_OFFSET", &*ahead), ("BUBBLE_LOG", "warn")];
    let mut program = Program::start(&data, &client, &variables).await;
    loop {
        let answer = client.get(format!("{}/metrics", program.url)).send().await;
        let text = answer.expect("an answer").text().await.expect("text");
        if text
            .lines()
            .any(|line| line == "bubble_server_clock_suspect 1")
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
