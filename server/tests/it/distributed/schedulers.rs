//! Several servers with the built-in scheduler: one rolls up, whatever its clock says, and another
//! when that one dies.

use std::time::Duration;

use bubble_server::clock;

use super::site::Site;
use crate::program::Program;

/// Whether a server has the lease, and its number.
async fn lease(site: &Site, server: &Program) -> Option<u64> {
    let holds = site.figure(server, "bubble_server_rollup_holder").await;
    let number = site.figure(server, "bubble_server_rollup_lease").await;
    (holds == 1).then_some(number)
}

/// Which of the servers has the lease: never more than one.
async fn holder(site: &Site, servers: &[Program]) -> Option<(usize, u64)> {
    let mut found = None;
    for (which, server) in servers.iter().enumerate() {
        if let Some(number) = lease(site, server).await {
            assert_eq!(found, None, "two servers hold the lease");
            found = Some((which, number));
        }
    }
    found
}

/// Waits until one of them has it.
async fn until_held(site: &Site, servers: &[Program]) -> (usize, u64) {
    for _ in 0..400 {
        if let Some(found) = holder(site, servers).await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody took the lease");
}

/// Servers, the first of which has a clock that is off; it rolls up first, and is killed then.
async fn with_a_clock_off(test: &str, offset: &str) {
    let mut site = Site::new(test, 10).await;
    let off = [("BUBBLE_CLOCK_OFFSET", offset)];
    let mut servers = vec![site.server(&off).await];
    assert_eq!(until_held(&site, &servers).await, (0, 1));
    for _ in 0..2 {
        servers.push(site.server(&[]).await);
    }
    // Both old and new: for a clock that is ahead, minutes are over that are not.
    let now = clock::now() - clock::now() % 60;
    for (round, second) in (0..24).zip(now..) {
        let server = &servers[round as usize % servers.len()];
        site.post(server, round * 60, 60).await;
        site.post_at(server, second, 1).await;
        assert!(
            holder(&site, &servers)
                .await
                .is_none_or(|held| held == (0, 1))
        );
    }
    site.until_packed(async || {}).await;
    site.check().await;
    assert_eq!(until_held(&site, &servers).await, (0, 1));

    servers.remove(0).kill();
    for (round, second) in (24..48).zip(now + 24..) {
        let server = &servers[round as usize % servers.len()];
        site.post(server, round * 60, 60).await;
        site.post_at(server, second, 1).await;
    }
    let (_, number) = until_held(&site, &servers).await;
    assert_eq!(number, 2);
    site.until_packed(async || {
        holder(&site, &servers).await;
    })
    .await;
    let total = site.check().await;
    for server in &servers {
        assert_eq!(
            site.figure(server, "bubble_server_rollup_failed_total")
                .await,
            0
        );
    }
    println!(
        "a clock {offset} s off: {total} ns of 10 containers, by 3 servers, of which one was killed"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn of_three_servers_one_rolls_up_with_its_clock_90_s_ahead() {
    with_a_clock_off("clock_ahead", "90").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn of_three_servers_one_rolls_up_with_its_clock_90_s_behind() {
    with_a_clock_off("clock_behind", "-90").await;
}

/// The lease is given back at a clean stop, so that nobody waits.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn a_server_that_stops_gives_the_lease_to_the_next() {
    let mut site = Site::new("lease_given_back", 1).await;
    let mut servers = vec![site.server(&[]).await];
    assert_eq!(until_held(&site, &servers).await, (0, 1));
    servers.push(site.server(&[]).await);
    servers.remove(0).stop();
    assert_eq!(until_held(&site, &servers).await, (0, 2));
}
