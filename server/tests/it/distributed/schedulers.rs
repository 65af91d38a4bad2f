//! Several servers with the built-in scheduler: one rolls up, whatever its clock says, and another takes
//! over when it dies.

use std::time::Duration;

use bubble_server::clock;
use rustix::process::Signal;

use super::site::Site;
use crate::program::Program;

/// The fence of the lease, if a server holds it.
async fn lease(site: &Site, server: &Program) -> Option<u64> {
    let holds = site.metric(server, "bubble_server_rollup_holder").await;
    let number = site.metric(server, "bubble_server_rollup_lease").await;
    (holds == 1).then_some(number)
}

/// The holder of the lease and its fence. Fails if two servers hold it.
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

/// Waits until a server holds the lease.
async fn until_held(site: &Site, servers: &[Program]) -> (usize, u64) {
    for _ in 0..1_200 {
        if let Some(found) = holder(site, servers).await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody took the lease");
}

/// The first server has a clock that is ahead, and another has one that is behind. The first rolls up,
/// and is suspended for so long that another takes over. After it resumes, two roll up for a moment.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn one_of_three_servers_rolls_up_whatever_their_clocks_say() {
    let mut site = Site::new("clocks", 10).await;
    let mut servers = vec![site.server(&[("BUBBLE_CLOCK_OFFSET", "90")]).await];
    assert_eq!(until_held(&site, &servers).await, (0, 1));
    servers.push(site.server(&[("BUBBLE_CLOCK_OFFSET", "-90")]).await);
    servers.push(site.server(&[]).await);
    // Old and new seconds: for a clock that is ahead, the current minute is over too early.
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
    while site.backlog().await > 280 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let still = servers.remove(0);
    still.signal(Signal::STOP);
    let left = site.backlog().await;
    assert!(left > 0, "all was packed before it was suspended");
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
            .metric(server, "bubble_server_rollup_failed_total")
            .await;
        assert_eq!(failed, 0);
    }
    let clock = ["90 s behind", "right"][which];
    println!(
        "a clock 90 s ahead, which stood still with {left} spans left, then one that is {clock}: {total} ns"
    );
}

/// A clean stop releases the lease at once. After a kill it lapses.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Cassandra, RabbitMQ, Consul: cargo xtask test --only distributed"]
async fn a_stopped_or_killed_server_leaves_the_lease_to_another() {
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
