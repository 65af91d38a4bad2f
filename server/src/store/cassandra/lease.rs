//! The lease of roll-up: one row, changed only by lightweight transactions.
//!
//! It has no time to live: `rollup/lease.rs` explains how it lapses.

use async_trait::async_trait;
use bubble_common::segment::SourceId;

use super::cluster::Cassandra;
use super::session::Cql;
use super::value::{blob, source_of};
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;
use crate::store::lease::{Lease, Leases};

#[async_trait]
impl Leases for Cassandra {
    async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        read(&self.cql).await
    }

    async fn change_lease(&self, from: Option<Lease>, to: Lease) -> Result<bool, StoreError> {
        change(&self.cql, from, to).await
    }
}

/// Reads the lease at a serial level, which completes or discards a change that is under way. A plain
/// read does not.
async fn read(cql: &Cql) -> Result<Option<Lease>, StoreError> {
    let rows: Vec<(Option<Vec<u8>>, i64, i64)> = cql
        .serial_rows(
            "read the lease of roll-up",
            "SELECT holder, fence, beat FROM lease WHERE id = 0",
            (),
        )
        .await?;
    let read = |(holder, fence, beat): &(Option<Vec<u8>>, i64, i64)| {
        Ok(Lease {
            holder: holder.as_deref().map(source_of).transpose()?,
            fence: unsigned(*fence),
            beat: unsigned(*beat),
        })
    };
    rows.first().map(read).transpose()
}

/// Replaces `from` by `to`; `false` if the lease is not `from`.
async fn change(cql: &Cql, from: Option<Lease>, to: Lease) -> Result<bool, StoreError> {
    let holder = |id: Option<SourceId>| id.and_then(|id| blob(&id.0));
    let (fence, beat) = (number(to.fence), number(to.beat));
    match from {
        None => {
            let values = (holder(to.holder), fence, beat);
            cql.write_if(
                "take the lease of roll-up",
                "INSERT INTO lease (id, holder, fence, beat) VALUES (0, ?, ?, ?) IF NOT EXISTS",
                values,
            )
            .await
        }
        Some(from) => {
            // A fence has only one holder, which therefore need not be compared.
            let values = (
                holder(to.holder),
                fence,
                beat,
                number(from.fence),
                number(from.beat),
            );
            cql.write_if(
                "keep the lease of roll-up",
                "UPDATE lease SET holder = ?, fence = ?, beat = ? WHERE id = 0 IF fence = ? AND beat = ?",
                values,
            )
            .await
        }
    }
}
