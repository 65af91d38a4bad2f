//! Shares: how much of something one client may have at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{Request, header};

use crate::auth::key;

/// Who has how much.
#[derive(Debug, Clone)]
pub struct Shares {
    limit: usize,
    held: Arc<Mutex<HashMap<String, usize>>>,
}

/// What one client has, given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    who: String,
    amount: usize,
}

impl Shares {
    /// Each client has at most `limit`.
    pub(super) fn new(limit: usize) -> Self {
        let held = Arc::default();
        Self { limit, held }
    }

    /// An empty share for `who`.
    pub(super) fn of(&self, who: String) -> Share {
        let shares = self.clone();
        Share {
            shares,
            who,
            amount: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// What the client may have at most.
    pub(super) fn limit(&self) -> usize {
        self.shares.limit
    }

    /// Adds `amount`. Returns false if the client would then have more than its limit.
    pub(super) fn grow(&mut self, amount: usize) -> bool {
        let mut held = self.shares.lock();
        let sum = held.get(&self.who).copied().unwrap_or(0) + amount;
        if sum > self.shares.limit {
            return false;
        }
        held.insert(self.who.clone(), sum);
        self.amount += amount;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        if let Some(sum) = held.get_mut(&self.who) {
            *sum -= self.amount;
            if *sum == 0 {
                held.remove(&self.who);
            }
        }
    }
}

/// The word after the scheme in `Authorization`; empty without one. The request was authenticated by it.
pub(super) fn token_of<T>(request: &Request<T>) -> &str {
    let header = request.headers().get(header::AUTHORIZATION);
    let text = header.and_then(|value| value.to_str().ok());
    text.and_then(|text| text.split_once(' '))
        .map_or("", |(_, word)| word.trim())
}

/// The id of the API key by which a post was authenticated. A chisel may have it in the path.
pub(super) fn key_id<T>(request: &Request<T>) -> String {
    let path = request.uri().path();
    let own = match path.strip_prefix("/event") {
        // Keys have no `%`. One that is escaped nevertheless shares with all such.
        Some(rest) => rest
            .strip_prefix("/api/")
            .map(|key| if key.contains('%') { "" } else { key }),
        None => {
            let own = request.headers().get("x-api-key");
            own.and_then(|value| value.to_str().ok())
        }
    };
    key::id_of(own.unwrap_or_else(|| token_of(request)))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::{Shares, key_id};

    #[test]
    fn each_client_has_its_own_share_and_gives_it_back() {
        let shares = Shares::new(3);
        let mut a = shares.of("a".to_owned());
        let mut b = shares.of("b".to_owned());
        assert!(a.grow(2) && b.grow(3) && !b.grow(1));
        let mut also_a = shares.of("a".to_owned());
        assert!(also_a.grow(1) && !a.grow(1));
        drop(also_a);
        assert!(a.grow(1) && !a.grow(1));
        drop((a, b));
        assert!(shares.lock().is_empty());
    }

    #[test]
    fn a_key_is_the_same_wherever_it_is() {
        let request = |path: &str, name: &str, value: &str| {
            let request = Request::builder().uri(path).header(name, value);
            key_id(&request.body(()).expect("a request"))
        };
        let id = request("/api/v1/batch", "authorization", "Bearer secret");
        assert_eq!(request("/api/v1/batch", "x-api-key", "secret"), id);
        assert_eq!(request("/event", "authorization", "token  secret "), id);
        assert_eq!(request("/event/api/secret", "x-api-key", "other"), id);
        assert_ne!(request("/event/api/other", "x-api-key", "secret"), id);
    }
}
