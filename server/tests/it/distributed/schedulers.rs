//! Several servers with the built-in scheduler: one rolls up, whatever its clock says, and another
//! when that one dies.

use std::time::Duration;

use bubble_server::clock;
use rustix::process::Signal;

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
    for _ in 0..1_200 {
        if let Some(found) = holder(site, servers).await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody took the lease");
}

/// The first has a clock that is ahead; it rolls up first, and stands still then in the middle of
/// it, for so long that another takes over; when it goes on, two are at work for a moment. Of the
/// others one has a clock that is behind.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn of_three_servers_one_rolls_up_whatever_their_clocks_say() {
    let mut site = Site::new("clocks", 10).await;
    let mut servers = vec![site.server(&[("BUBBLE_CLOCK_OFFSET", "90")]).await];
    assert_eq!(until_held(&site, &servers).await, (0, 1));
    servers.push(site.server(&[("BUBBLE_CLOCK_OFFSET", "-90")]).await);
    servers.push(site.server(&[]).await);
    // Both old and new: for a clock that is ahead, minutes are over that are not.
    let now = clock::now() - clock::now() % 60;
    for (round, second) in (0..24).zip(now..) {
        let server = &servers[round as usize % servers.len()];
        site.post(server, round * 60, 60).await;
        site.post_at(server, second, 1).await;
        let held = holder(&site, &servers).await;
        assert!(held.is_none_or(|held| held == (0, 1)), "{held:?}");
    }
    site.until_packed(async || {}).await;
    site.check().await;
    assert_eq!(until_held(&site, &servers).await, (0, 1));

    let (from, count) = (48 * 60, 30 * 60);
    site.post(&servers[0], from, count).await;
    while site.backlog().await > 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let still = servers.remove(0);
    still.signal(Signal::STOP);
    let left = site.backlog().await;
    assert!(left > 0, "all was packed before it stood still");
    for (round, second) in (24..48).zip(now + 24..) {
        let server = &servers[round as usize % servers.len()];
        site.post(server, round * 60, 60).await;
        site.post_at(server, second, 1).await;
    }
    let (which, number) = until_held(&site, &servers).await;
    assert_eq!(number, 2);
    site.until_packed(async || {
        holder(&site, &servers).await;
    })
    .await;
    site.check().await;
    still.signal(Signal::CONT);
    while lease(&site, &still).await.is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    servers.insert(0, still);
    assert_eq!(until_held(&site, &servers).await, (which + 1, 2));
    site.post(&servers[0], from + count, 60).await;
    site.until_packed(async || {}).await;
    let total = site.check().await;
    for server in &servers {
        let failed = site
            .figure(server, "bubble_server_rollup_failed_total")
            .await;
        assert_eq!(failed, 0);
    }
    let clock = ["90 s behind", "right"][which];
    println!(
        "a clock 90 s ahead, which stood still with {left} spans left, then one that is {clock}: {total} ns"
    );
}

/// The lease is given back at a clean stop, so that nobody waits; after a kill it takes a while.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn a_server_that_stops_or_is_killed_leaves_the_lease_to_the_next() {
    let mut site = Site::new("lease_given_back", 1).await;
    let mut servers = vec![site.server(&[]).await];
    assert_eq!(until_held(&site, &servers).await, (0, 1));
    servers.push(site.server(&[]).await);
    servers.remove(0).stop();
    assert_eq!(until_held(&site, &servers).await, (0, 2));
    servers.push(site.server(&[]).await);
    servers.remove(0).kill();
    assert_eq!(until_held(&site, &servers).await, (0, 3));
}
