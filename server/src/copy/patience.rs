//! Patience with a store that does not answer in time, as a node that is busy: what a copy does can
//! all be done again, so that it need not be known whether it was done.

use std::time::Duration;

use super::CopyError;
use crate::store::error::StoreError;

/// How often something is tried.
const TRIES: u32 = 6;
/// The first pause between two tries; it doubles each time.
const PAUSE: Duration = Duration::from_millis(500);

/// Does `work`, again after a pause when the store failed.
///
/// # Errors
/// When it failed each time, or by something that stays as it is.
pub(super) async fn patiently<T>(
    work: impl AsyncFn() -> Result<T, CopyError>,
) -> Result<T, CopyError> {
    again(PAUSE, work).await
}

async fn again<T>(
    mut pause: Duration,
    work: impl AsyncFn() -> Result<T, CopyError>,
) -> Result<T, CopyError> {
    for _ in 1..TRIES {
        match work().await {
            Err(CopyError::Store(StoreError::Database { .. })) => {}
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    work().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{TRIES, again};
    use crate::copy::CopyError;
    use crate::store::error::StoreError;

    fn busy() -> CopyError {
        let error = StoreError::Database {
            doing: "store a packed segment",
            source: "timed out".into(),
        };
        error.into()
    }

    #[tokio::test]
    async fn a_store_that_fails_now_and_then_is_asked_again() {
        for failures in 0..TRIES {
            let asked = Cell::new(0);
            let done = again(Duration::ZERO, async || {
                asked.set(asked.get() + 1);
                match asked.get() > failures {
                    true => Ok(7),
                    false => Err(busy()),
                }
            });
            assert_eq!(done.await.expect("done in the end"), 7);
            assert_eq!(asked.get(), failures + 1);
        }
    }

    #[tokio::test]
    async fn patience_ends() {
        for (error, tries) in [(busy(), TRIES), (StoreError::Closed.into(), 1)] {
            let said = error.to_string();
            let (error, asked) = (Cell::new(Some(error)), Cell::new(0));
            let done = again(Duration::ZERO, async || {
                asked.set(asked.get() + 1);
                Err::<(), _>(error.take().unwrap_or_else(busy))
            });
            assert_eq!(done.await.expect_err("it fails").to_string(), said);
            assert_eq!(asked.get(), tries);
        }
    }
}
