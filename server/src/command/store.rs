//! The store, for commands that may run beside a server.

use std::sync::Arc;

use anyhow::{Result, bail};
use bubble_common::segment::ContainerId;

use crate::config::settings::Common;
use crate::config::store::StoreSetting;
use crate::span::retention::Retention;
use crate::store::Store;
use crate::store::cassandra::Cassandra;
use crate::store::resolve::{Meaning, resolve};
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

/// The container that an id on the command line means.
pub(super) async fn resolved(store: &dyn Store, text: &str) -> Result<ContainerId> {
    match resolve(store, text).await? {
        Meaning::One(id) => Ok(id),
        Meaning::Several(ids) => bail!("several containers begin with {text}: {}", ids.join(", ")),
        Meaning::Invalid => bail!("{text:?} is not a container id"),
    }
}
