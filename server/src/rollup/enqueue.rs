//! Enqueues a job for each due span. A timer of the system, such as cron, runs this.

use anyhow::Result;
use bubble_common::segment::Resolution;

use super::due::Due;
use super::job::Job;
use super::queue::Queue;
use crate::store::Store;

/// Enqueues a job for each span that is due at `now`, and returns their number. `resolution` is what
/// the jobs make: packing seconds makes minutes. `Day` also packs days, which make nothing coarser.
///
/// # Errors
/// When the store fails, or the queue refuses a job.
pub async fn enqueue_due(
    store: &dyn Store,
    queue: &Queue,
    resolution: Resolution,
    now: u64,
) -> Result<u64> {
    let makes = |finer: &Resolution| {
        let last = *finer == Resolution::Day && resolution == Resolution::Day;
        finer.coarser() == Some(resolution) || last
    };
    let mut count = 0;
    for finer in Resolution::ALL.into_iter().filter(makes) {
        let mut due = Due::new(store, finer, now).await?;
        while let Some(page) = due.page().await? {
            count += page.len() as u64;
            let jobs = page.iter().map(|span| Job::new(span).encode());
            queue.put(jobs.collect()).await?;
        }
    }
    Ok(count)
}
