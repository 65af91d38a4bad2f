//! The lease of roll-up, in memory: no other process serves the same directory.

use std::sync::PoisonError;

use async_trait::async_trait;

use super::database::Sqlite;
use crate::store::error::StoreError;
use crate::store::lease::{Lease, Leases};

#[async_trait]
impl Leases for Sqlite {
    async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        Ok(*self.lease.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn change_lease(&self, from: Option<Lease>, to: Lease) -> Result<bool, StoreError> {
        let mut lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let same = *lease == from;
        if same {
            *lease = Some(to);
        }
        Ok(same)
    }
}
