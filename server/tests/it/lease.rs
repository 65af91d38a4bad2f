//! The lease of roll-up: its holder, its changes, and unknown outcomes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bubble_server::clock;
use bubble_server::metrics::Metrics;
use bubble_server::rollup::lease::{HOLD_TIME, Keeper, LAPSE_TIMEOUT, RENEW_INTERVAL};
use bubble_server::rollup::{Packer, Rollup};
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::error::StoreError;
use bubble_server::store::lease::{Lease, Leases};
use tokio::sync::watch;

use crate::common::seconds;
use crate::store::backend::{self, on_every_store};
use crate::store::post;

/// The fence of the lease, if the keeper holds it at `now`.
async fn tick(keeper: &mut Keeper, now: Instant) -> Option<u64> {
    let held = keeper.tick(now).await.expect("answers")?;
    assert_eq!(held.until, now + HOLD_TIME);
    Some(held.fence)
}

async fn a_lease_is_held_until_another_server_saw_it_unchanged_for_long(store: Arc<dyn Store>) {
    let start = Instant::now();
    let mut one = Keeper::new(Arc::clone(&store) as Arc<dyn Leases>);
    let mut other = Keeper::new(Arc::clone(&store) as Arc<dyn Leases>);
    assert_eq!(tick(&mut one, start).await, Some(1));
    assert_eq!(tick(&mut other, start).await, None);
    // Clocks are not compared: the other counts how long it sees no change, on its own.
    let ahead = start + LAPSE_TIMEOUT * 100;
    assert_eq!(tick(&mut other, ahead).await, Some(2));
    assert_eq!(tick(&mut one, start + RENEW_INTERVAL).await, None);
    // A lease that is renewed is held.
    let mut now = start;
    for _ in 0..10 {
        now += LAPSE_TIMEOUT / 2;
        assert_eq!(tick(&mut other, ahead + RENEW_INTERVAL).await, Some(2));
        assert_eq!(tick(&mut one, now).await, None);
    }
    assert_eq!(
        tick(&mut one, now + LAPSE_TIMEOUT - RENEW_INTERVAL).await,
        None
    );
    // It was seen some time after `now`, when the store had answered.
    let lapsed = now + LAPSE_TIMEOUT * 10;
    assert_eq!(tick(&mut one, lapsed).await, Some(3));
    // A holder that was suspended learns of it, and does not take the lease back.
    assert_eq!(tick(&mut other, ahead + RENEW_INTERVAL * 2).await, None);
    assert_eq!(tick(&mut one, lapsed + RENEW_INTERVAL).await, Some(3));
}

async fn a_released_lease_is_taken_at_once(store: Arc<dyn Store>) {
    let now = Instant::now();
    let mut one = Keeper::new(Arc::clone(&store) as Arc<dyn Leases>);
    let mut other = Keeper::new(Arc::clone(&store) as Arc<dyn Leases>);
    assert_eq!(tick(&mut one, now).await, Some(1));
    // A release by another process does nothing.
    other.release().await;
    assert_eq!(tick(&mut other, now).await, None);
    one.release().await;
    assert_eq!(tick(&mut other, now).await, Some(2));
    assert_eq!(tick(&mut one, now).await, None);
}

async fn of_two_changes_one_succeeds(store: Arc<dyn Store>) {
    let lease = |fence, beat| Lease {
        holder: None,
        fence,
        beat,
    };
    let change = async |from, to| store.change_lease(from, to).await.expect("answers");
    assert_eq!(store.lease().await.expect("answers"), None);
    assert!(!change(Some(lease(1, 0)), lease(1, 1)).await);
    assert!(change(None, lease(1, 0)).await);
    assert!(!change(None, lease(1, 0)).await);
    assert!(change(Some(lease(1, 0)), lease(1, 1)).await);
    assert!(!change(Some(lease(1, 0)), lease(2, 0)).await);
    assert_eq!(store.lease().await.expect("answers"), Some(lease(1, 1)));
}

on_every_store!(
    a_lease_is_held_until_another_server_saw_it_unchanged_for_long,
    a_released_lease_is_taken_at_once,
    of_two_changes_one_succeeds,
);

#[tokio::test]
async fn the_metrics_show_who_rolls_up_and_what_waits() {
    let (store, _data) = backend::sqlite();
    let minute = clock::now() - 3_600 - clock::now() % 60;
    let segment = post(&seconds("aaaaaaaaaaaa", 1, minute, 1, 7));
    store.put(vec![segment]).await.expect("stored");
    let metrics = Arc::new(Metrics::default());
    let figure = |name: &str| {
        let text = metrics.text();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map(|value| value.parse::<u64>().expect("a whole number"))
    };
    // Nobody packs the span, so it waits.
    let rollup =
        Rollup::new(store, Retention::default(), Arc::clone(&metrics)).packer(Packer::Workers);
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(rollup.serve(stopped));
    while figure("bubble_server_rollup_waiting") != Some(1) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(figure("bubble_server_rollup_holder"), Some(1));
    assert_eq!(figure("bubble_server_rollup_lease"), Some(1));
    let lag = figure("bubble_server_rollup_lag_seconds").expect("a lag");
    assert!((3_500..=3_700).contains(&lag), "{lag}");
    stop.send_replace(true);
    serving.await.expect("it ends");
}

/// A store whose changes fail with an unknown outcome.
struct Unknown {
    made: bool,
    lease: Mutex<Option<Lease>>,
}

#[async_trait]
impl Leases for Unknown {
    async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        Ok(*self.lease.lock().expect("nobody panicked"))
    }

    async fn change_lease(&self, from: Option<Lease>, to: Lease) -> Result<bool, StoreError> {
        let mut lease = self.lease.lock().expect("nobody panicked");
        assert_eq!(*lease, from);
        if self.made {
            *lease = Some(to);
        }
        Err(StoreError::Closed)
    }
}

#[tokio::test]
async fn the_outcome_of_a_failed_change_is_read() {
    for made in [false, true] {
        let store = Arc::new(Unknown {
            made,
            lease: Mutex::default(),
        });
        let mut keeper = Keeper::new(store);
        for beat in 0..3 {
            let held = tick(&mut keeper, Instant::now() + RENEW_INTERVAL * beat).await;
            assert_eq!(held, made.then_some(1));
        }
    }
}
