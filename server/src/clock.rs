//! The time of day, read in one place.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;

/// The variable by which tests have a server whose clock is off: so many seconds, ahead or
/// (negative) behind. It is for nothing else.
const OFFSET: &str = "BUBBLE_CLOCK_OFFSET";

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    now_ns() / 1_000_000_000
}

/// Nanoseconds since the Unix epoch.
pub fn now_ns() -> u64 {
    // A clock before 1970 is as good as none; the server then refuses what comes from today.
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
            warn!("the clock is put off by {OFFSET}={seconds} s");
        }
        seconds.unwrap_or(0)
    });
    seconds.saturating_mul(1_000_000_000)
}
