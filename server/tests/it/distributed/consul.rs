//! Consul lists only servers that answer, and a server reports that its store is gone.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::broker::{given, services};
use super::site::Site;
use crate::program::Program;
use crate::store::backend;

/// Waits until Consul lists exactly the expected servers as healthy.
async fn passing(site: &Site, expected: &[&Program]) {
    let url = format!(
        "{}/v1/health/service/bubble-test?passing",
        given("BUBBLE_CONSUL")
    );
    let mut expected: Vec<u64> = expected.iter().map(|program| port(program)).collect();
    expected.sort_unstable();
    let mut found = Vec::new();
    for _ in 0..900 {
        if let Ok(answer) = site.client.get(&url).send().await {
            let list: Value = answer.json().await.unwrap_or_default();
            let list = list.as_array().cloned().unwrap_or_default();
            let ports = list
                .iter()
                .filter_map(|entry| entry["Service"]["Port"].as_u64());
            found = ports.collect();
            found.sort_unstable();
            if found == expected {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("Consul finds {found:?}, and not {expected:?}");
}

fn port(program: &Program) -> u64 {
    let (_, port) = program.url.rsplit_once(':').expect("a port");
    port.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn consul_finds_the_servers_that_answer() {
    let mut site = Site::new("consul", 1).await;
    let consul = given("BUBBLE_CONSUL");
    let registered = [
        ("BUBBLE_CONSUL", &consul[..]),
        ("BUBBLE_CONSUL_SERVICE", "bubble-test"),
    ];
    let mut one = site.server(&registered).await;
    let mut other = site.server(&registered).await;
    passing(&site, &[&one, &other]).await;
    // Consul forgets all on a restart, so the servers register again.
    services("down", "consul").await;
    services("up", "consul").await;
    passing(&site, &[&one, &other]).await;
    // A stopped server deregisters; a killed one fails its check.
    one.stop();
    passing(&site, &[&other]).await;
    other.kill();
    passing(&site, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn a_server_reports_that_its_store_is_gone_and_recovers() {
    let mut site = Site::new("store_gone", 3).await;
    let server = site.server(&[]).await;
    site.post(&server, 0, 60).await;
    // A single node that syncs its log periodically loses the writes of the latest 100 ms when it dies
    // (cassandra.yaml: commitlog_sync_marker_interval).
    tokio::time::sleep(Duration::from_secs(1)).await;
    services("down", "cassandra").await;
    let status = async || {
        let answer = site.client.get(format!("{}/ping", server.url)).send().await;
        answer.expect("an answer")
    };
    for _ in 0..3 {
        let answer = status().await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
    }
    services("up", "cassandra").await;
    for _ in 0..900 {
        if status().await.status() == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.post(&server, 60, 60).await;
    site.store = backend::reopen(&site.address).await;
    site.until_packed(async || {}).await;
    site.check().await;
}
