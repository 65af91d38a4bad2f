//! `retention retain | listen`: roll-up by workers. Names and arguments are those of the Python system.

use std::sync::Arc;

use anyhow::Result;
use bubble_common::segment::Resolution;
use tokio::sync::watch;
use tracing::info;

use super::process::{asked_to_stop, log_to_stderr};
use crate::clock;
use crate::config::Work;
use crate::config::flags::{Common, Keep, Made, Retention};
use crate::rollup::queue::Queue;
use crate::rollup::retain::retain;
use crate::rollup::worker::listen;
use crate::store::Store;
use crate::store::cassandra::Cassandra;

pub(super) async fn run(common: &Common, command: Retention) -> Result<()> {
    match command {
        Retention::Retain {
            resolution,
            broker,
            log,
        } => {
            let work = Work::new(common, broker, &Keep::default(), &log)?;
            log_to_stderr(&work.log)?;
            let store = open(&work).await?;
            // Nothing is delivered to it.
            let queue = Queue::open(&work.broker, 1).await?;
            let made = match resolution {
                Made::M => Resolution::Minute,
                Made::H => Resolution::Hour,
                Made::D => Resolution::Day,
            };
            let jobs = retain(&*store, &queue, made, clock::now()).await?;
            println!("{jobs} jobs put into {}", queue.name());
        }
        Retention::Listen {
            jobs,
            broker,
            keep,
            log,
        } => {
            let work = Work::new(common, broker, &keep, &log)?;
            log_to_stderr(&work.log)?;
            let store = open(&work).await?;
            let (stop, stopped) = watch::channel(false);
            let asked = tokio::spawn(async move {
                asked_to_stop().await;
                stop.send_replace(true);
            });
            listen(store, &work.broker, jobs, stopped).await;
            asked.abort();
            info!("stopped");
        }
    }
    Ok(())
}

async fn open(work: &Work) -> Result<Arc<dyn Store>> {
    let store = Cassandra::open(&work.store, work.consistency, work.retention).await?;
    Ok(Arc::new(store))
}
