//! Retries while a store does not answer in time, as a busy node does.
//!
//! Every step of a copy can be repeated, so an attempt with an unknown outcome is
//! simply made again.

use std::time::Duration;

use super::error::CopyError;
use crate::store::error::StoreError;

/// Attempts at most.
const MAX_ATTEMPTS: u32 = 6;
/// Delay before the first retry; it doubles each time.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Runs `work`, and again after a delay while the store fails.
///
/// # Errors
/// When every attempt failed, or one failed in a way that a retry does not change.
pub(super) async fn with_retry<T>(
    work: impl AsyncFn() -> Result<T, CopyError>,
) -> Result<T, CopyError> {
    with_delay(RETRY_DELAY, work).await
}

async fn with_delay<T>(
    mut delay: Duration,
    work: impl AsyncFn() -> Result<T, CopyError>,
) -> Result<T, CopyError> {
    for _ in 1..MAX_ATTEMPTS {
        match work().await {
            Err(CopyError::Store(StoreError::Database { .. })) => {}
            outcome => return outcome,
        }
        tokio::time::sleep(delay).await;
        delay *= 2;
    }
    work().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::{MAX_ATTEMPTS, with_delay};
    use crate::copy::error::CopyError;
    use crate::store::error::StoreError;

    fn busy() -> CopyError {
        let error = StoreError::Database {
            doing: "store a packed segment",
            source: "timed out".into(),
        };
        error.into()
    }

    #[tokio::test]
    async fn a_store_that_fails_a_few_times_is_asked_again() {
        for failures in 0..MAX_ATTEMPTS {
            let attempts = Cell::new(0);
            let outcome = with_delay(Duration::ZERO, async || {
                attempts.set(attempts.get() + 1);
                match attempts.get() > failures {
                    true => Ok(7),
                    false => Err(busy()),
                }
            });
            assert_eq!(outcome.await.expect("succeeds in the end"), 7);
            assert_eq!(attempts.get(), failures + 1);
        }
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_only_database_errors_are_retried() {
        for (error, expected) in [(busy(), MAX_ATTEMPTS), (StoreError::Closed.into(), 1)] {
            let text = error.to_string();
            let (error, attempts) = (Cell::new(Some(error)), Cell::new(0));
            let outcome = with_delay(Duration::ZERO, async || {
                attempts.set(attempts.get() + 1);
                Err::<(), _>(error.take().unwrap_or_else(busy))
            });
            assert_eq!(outcome.await.expect_err("it fails").to_string(), text);
            assert_eq!(attempts.get(), expected);
        }
    }
}
