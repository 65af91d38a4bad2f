//! The lease of roll-up: who has it, when it changes hands, and what an unknown outcome does.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use bubble_server::rollup::lease::{BEAT, HELD, Keeper, VOID};
use bubble_server::store::Store;
use bubble_server::store::error::StoreError;
use bubble_server::store::lease::{Lease, Leases};

use crate::store::backend::on_every_store;

/// The number of the lease, if the keeper has it at `now`.
async fn tick(keeper: &mut Keeper, now: Instant) -> Option<u64> {
    let held = keeper.tick(now).await.expect("answers")?;
    assert_eq!(held.until, now + HELD);
    Some(held.fence)
}

async fn one_has_it_until_the_other_has_seen_it_unchanged_for_long(store: Arc<dyn Store>) {
    let start = Instant::now();
    let mut one = Keeper::new(Arc::clone(&store) as Arc<dyn Leases>);
    let mut other = Keeper::new(Arc::clone(&store) as Arc<dyn Leases>);
    assert_eq!(tick(&mut one, start).await, Some(1));
    assert_eq!(tick(&mut other, start).await, None);
    // The other's clock may be anywhere: what counts is what passes on it without a change.
    let ahead = start + VOID * 100;
    assert_eq!(tick(&mut other, ahead).await, Some(2));
    assert_eq!(tick(&mut one, start + BEAT).await, None);
    // As long as it is changed, it is held.
    let mut now = start;
    for _ in 0..10 {
        now += VOID / 2;
        assert_eq!(tick(&mut other, ahead + BEAT).await, Some(2));
        assert_eq!(tick(&mut one, now).await, None);
    }
    assert_eq!(tick(&mut one, now + VOID - BEAT).await, None);
    assert_eq!(tick(&mut one, now + VOID).await, Some(3));
    // Who stood still is told so, and does not take it back.
    assert_eq!(tick(&mut other, ahead + BEAT * 2).await, None);
    assert_eq!(tick(&mut one, now + VOID + BEAT).await, Some(3));
}

async fn what_is_given_back_is_taken_at_once(store: Arc<dyn Store>) {
    let now = Instant::now();
    let mut one = Keeper::new(Arc::clone(&store) as Arc<dyn Leases>);
    let mut other = Keeper::new(Arc::clone(&store) as Arc<dyn Leases>);
    assert_eq!(tick(&mut one, now).await, Some(1));
    // Who does not have it gives back nothing.
    other.release().await;
    assert_eq!(tick(&mut other, now).await, None);
    one.release().await;
    assert_eq!(tick(&mut other, now).await, Some(2));
    assert_eq!(tick(&mut one, now).await, None);
}

async fn of_two_changes_one_is_made(store: Arc<dyn Store>) {
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
    one_has_it_until_the_other_has_seen_it_unchanged_for_long,
    what_is_given_back_is_taken_at_once,
    of_two_changes_one_is_made,
);

/// Changes fail, and are made or not.
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
async fn what_became_of_a_change_that_failed_is_read() {
    for made in [false, true] {
        let store = Arc::new(Unknown {
            made,
            lease: Mutex::default(),
        });
        let mut keeper = Keeper::new(store);
        for beat in 0..3 {
            let held = tick(&mut keeper, Instant::now() + BEAT * beat).await;
            assert_eq!(held, made.then_some(1));
        }
    }
}
