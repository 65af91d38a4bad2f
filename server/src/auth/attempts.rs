//! Wrong keys and tokens, by address: who sends many must wait before the next is looked at.
//!
//! A key or token that was good lately is always looked at, so that those who share an address with
//! somebody who guesses go on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Wrong ones of an address before it must wait.
const MAX_FAILURES: f64 = 30.0;
/// Time in which one of them is forgotten.
const FAILURE_TTL: Duration = Duration::from_secs(2);
/// Time for which a good one is remembered.
const GOOD_TTL: Duration = Duration::from_secs(3_600);
/// Addresses, or good ones, at most. Beyond that all are forgotten.
const MAX_ENTRIES: usize = 20_000;

/// What was tried.
#[derive(Debug, Default)]
pub struct Attempts {
    failures: Mutex<HashMap<IpAddr, (f64, Instant)>>,
    good: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Attempts {
    /// Whether a key or token of this address may be looked at. Without an address there is no limit.
    pub fn may_try(&self, address: Option<IpAddr>, credential: &str) -> bool {
        let Some(address) = address.map(network) else {
            return true;
        };
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.get(&address).map_or(0.0, left);
        drop(failures);
        count < MAX_FAILURES || {
            let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
            let at = good.get(&hash(credential));
            at.is_some_and(|at| at.elapsed() < GOOD_TTL)
        }
    }

    /// Notes whether it was good.
    pub fn note(&self, address: Option<IpAddr>, credential: &str, is_good: bool) {
        if is_good {
            let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
            if good.len() >= MAX_ENTRIES {
                good.clear();
            }
            good.insert(hash(credential), Instant::now());
        } else if let Some(address) = address.map(network) {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            if failures.len() >= MAX_ENTRIES {
                failures.retain(|_, entry| left(entry) > 0.0);
            }
            if failures.len() >= MAX_ENTRIES {
                failures.clear();
            }
            let count = failures.get(&address).map_or(0.0, left);
            // So that it is not locked out for long afterwards.
            let count = (count + 1.0).min(MAX_FAILURES + 1.0);
            failures.insert(address, (count, Instant::now()));
        }
    }
}

/// Failures that are not forgotten yet.
fn left((count, at): &(f64, Instant)) -> f64 {
    (count - at.elapsed().as_secs_f64() / FAILURE_TTL.as_secs_f64()).max(0.0)
}

/// A host has as many addresses of IPv6 as it wants, within one network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

fn hash(credential: &str) -> [u8; 32] {
    Sha256::digest(credential.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::Attempts;

    #[test]
    fn who_guesses_must_wait_and_others_go_on() {
        let attempts = Attempts::default();
        let address = |text: &str| Some(text.parse().expect("an address"));
        attempts.note(address("10.0.0.1"), "good", true);
        for _ in 0..100 {
            attempts.note(address("10.0.0.1"), "bad", false);
            attempts.note(address("2001:db8::1"), "bad", false);
        }
        assert!(!attempts.may_try(address("10.0.0.1"), "another"));
        assert!(
            !attempts.may_try(address("2001:db8::2"), "another"),
            "one network"
        );
        assert!(attempts.may_try(address("10.0.0.1"), "good"));
        assert!(attempts.may_try(address("10.0.0.2"), "another"));
        assert!(attempts.may_try(None, "another"));
    }
}
