//! The store, for commands that may run beside a server.

use std::sync::Arc;

use anyhow::Result;

use crate::config::settings::Common;
use crate::config::store::StoreSetting;
use crate::span::retention::Retention;
use crate::store::Store;
use crate::store::cassandra::Cassandra;
use crate::store::sqlite::Sqlite;

/// Opens the store, which servers may be using.
pub(super) async fn open(common: &Common) -> Result<Arc<dyn Store>> {
    Ok(match &common.store {
        StoreSetting::Sqlite => Arc::new(Sqlite::beside(&common.data)?),
        StoreSetting::Cassandra(address) => {
            // Retention sets the time to live of packed rows; none is written here.
            let retention = Retention::default();
            Arc::new(Cassandra::open(address, common.consistency, retention).await?)
        }
    })
}
