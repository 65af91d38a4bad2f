//! The revoked tokens, as this server knows them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::clock;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::token::MARGIN;

/// Time after which they are read again.
pub const REVOKED_TTL: Duration = Duration::from_secs(5);

/// Ids of revoked tokens.
#[derive(Debug, Default)]
pub struct Revoked {
    known: Mutex<Option<(HashSet<String>, Instant)>>,
}

impl Revoked {
    /// Whether the token with this id is revoked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn contains(&self, store: &dyn Store, id: &str) -> Result<bool, StoreError> {
        let mut known = self.known.lock().await;
        if let Some((ids, at)) = &*known
            && at.elapsed() < REVOKED_TTL
        {
            return Ok(ids.contains(id));
        }
        let tokens = store
            .tokens(clock::now().saturating_sub(MARGIN.as_secs()))
            .await?
            .into_iter();
        let ids: HashSet<String> = tokens.filter(|it| it.revoked).map(|it| it.id).collect();
        let is_revoked = ids.contains(id);
        *known = Some((ids, Instant::now()));
        Ok(is_revoked)
    }

    /// Reads the store again at the next question: a token was just revoked here.
    pub async fn forget(&self) {
        *self.known.lock().await = None;
    }
}
