//! Watched containers, in memory: no other process serves the same directory.

use std::sync::PoisonError;
use std::time::Instant;

use async_trait::async_trait;

use super::database::Sqlite;
use crate::store::attention::{Attention, WATCHED_TTL, Watched};
use crate::store::error::StoreError;

#[async_trait]
impl Attention for Sqlite {
    async fn note_watched(&self, watched: Watched) -> Result<(), StoreError> {
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(watched, Instant::now());
        Ok(())
    }

    async fn watched(&self) -> Result<Vec<Watched>, StoreError> {
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, since| since.elapsed() < WATCHED_TTL);
        Ok(all.keys().cloned().collect())
    }
}
