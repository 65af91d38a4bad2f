//! `retention retain | listen`: roll-up by workers. Names and arguments are those of the
//! Python system.

use std::sync::Arc;

use anyhow::Result;
use bubble_common::segment::Resolution;
use tokio::sync::watch;
use tracing::info;

use super::process::{asked_to_stop, log_to_stderr};
use crate::clock;
use crate::config::cli::{Made, Retention};
use crate::config::settings::Common;
use crate::rollup::enqueue::enqueue_due;
use crate::rollup::queue::{Broker, Queue};
use crate::rollup::worker::listen;
use crate::store::cassandra::Cassandra;

pub(super) async fn run(common: &Common, command: Retention) -> Result<()> {
    let address = common.shared_store()?;
    match command {
        Retention::Retain {
            resolution,
            broker,
            log,
        } => {
            log_to_stderr(&log)?;
            let store = super::store::open(common).await?;
            // Jobs are put only, so the number of deliveries does not matter.
            let queue = Queue::open(&Broker::from(broker), 1).await?;
            let resolution = match resolution {
                Made::M => Resolution::Minute,
                Made::H => Resolution::Hour,
                Made::D => Resolution::Day,
            };
            let jobs = enqueue_due(&*store, &queue, resolution, clock::now()).await?;
            println!("{jobs} jobs put into {}", queue.name());
        }
        Retention::Listen {
            jobs,
            broker,
            keep,
            log,
        } => {
            let retention = keep.retention()?;
            log_to_stderr(&log)?;
            let store = Cassandra::open(address, common.consistency, retention).await?;
            let (stop, stopped) = watch::channel(false);
            let asked = tokio::spawn(async move {
                asked_to_stop().await;
                stop.send_replace(true);
            });
            listen(Arc::new(store), &broker.into(), jobs, stopped).await;
            asked.abort();
            info!("stopped");
        }
    }
    Ok(())
}
