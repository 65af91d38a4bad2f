//! A live stream on one server shows segments that another stored.

use std::time::Duration;

use bubble_server::auth::token::Access;
use bubble_server::clock;

use super::site::{NS, Site};
use crate::common::token;
use crate::live::next;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn a_stream_on_one_server_shows_segments_stored_by_another() {
    let mut site = Site::new("live", 1).await;
    let one = site.server(&[]).await;
    let other = site.server(&[]).await;
    let now = clock::now() - 20;
    site.post_at(&one, now, 1).await;
    let path = format!("{}/api/v1/containers/container000/live", one.url);
    let request = site.client.get(path).bearer_auth(token(&Access::Admin));
    let answer = request.send().await.expect("an answer");
    let (mut stream, mut buffer) = (answer.bytes_stream(), String::new());
    let (_, first) = next(&mut stream, &mut buffer).await;
    assert_eq!(first["container"]["cpu_ns"], NS);
    // In turns: segments of both servers appear.
    for second in 1..=8 {
        let server = if second % 2 == 0 { &one } else { &other };
        site.post_at(server, now + second, 1).await;
        loop {
            let (name, event) = next(&mut stream, &mut buffer).await;
            assert_eq!(name, "slots");
            let shown = event["range"]["to"].as_f64() == Some((now + second + 1) as f64);
            if shown && event["container"]["cpu_ns"] == (second + 1) * NS {
                assert!(
                    event["accounting"]["process_cpu_ns"].as_u64() >= Some(NS),
                    "{event}"
                );
                break;
            }
        }
    }
    // Without news nothing is sent.
    let quiet = tokio::time::timeout(Duration::from_millis(2_500), next(&mut stream, &mut buffer));
    assert!(quiet.await.is_err(), "an event without news");
}
