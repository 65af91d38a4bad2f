//! The time of day, read in one place.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

/// Environment variable that sets the clock ahead by this many seconds, or back if negative. For
/// tests only.
const OFFSET: &str = "BUBBLE_CLOCK_OFFSET";

/// The time that a simulation has set; 0 if none has.
static SIMULATED: AtomicU64 = AtomicU64::new(0);

/// Stops the clock of this process at `ns` nanoseconds since the Unix epoch. For simulations only.
pub fn simulate(ns: u64) {
    SIMULATED.store(ns, Ordering::SeqCst);
}

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    now_ns() / 1_000_000_000
}

/// Nanoseconds since the Unix epoch.
pub fn now_ns() -> u64 {
    let simulated = SIMULATED.load(Ordering::SeqCst);
    if simulated != 0 {
        return simulated;
    }
    // A clock before 1970 counts as 1970: the server then refuses posts, as they are from the future.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        });
    now.saturating_add_signed(offset())
}

fn offset() -> i64 {
    static SECONDS: OnceLock<i64> = OnceLock::new();
    let seconds = SECONDS.get_or_init(|| {
        let seconds = std::env::var(OFFSET)
            .ok()
            .and_then(|text| text.parse().ok());
        if let Some(seconds) = seconds {
            warn!("{OFFSET} shifts the clock by {seconds} s");
        }
        seconds.unwrap_or(0)
    });
    seconds.saturating_mul(1_000_000_000)
}
