//! The time of day, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    now_ns() / 1_000_000_000
}

/// Nanoseconds since the Unix epoch.
pub fn now_ns() -> u64 {
    // A clock before 1970 is as good as none; the server then refuses what comes from today.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}
