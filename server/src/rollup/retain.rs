//! Putting jobs: one for each span that is due, from a timer of the system's (cron).

use anyhow::Result;
use bubble_common::segment::Resolution;

use super::due::Due;
use super::job::Job;
use super::queue::Queue;
use crate::store::Store;

/// Puts a job for each span that is due at `now`; returns how many. `resolution` is what they make:
/// minutes are made by packing seconds. Days are the last: they are packed, too, and make nothing.
///
/// # Errors
/// When the store fails, or the queue does not take a job.
pub async fn retain(
    store: &dyn Store,
    queue: &Queue,
    resolution: Resolution,
    now: u64,
) -> Result<u64> {
    let made = |finer: &Resolution| {
        let last = *finer == Resolution::Day && resolution == Resolution::Day;
        finer.coarser() == Some(resolution) || last
    };
    let mut count = 0;
    for finer in Resolution::ALL.into_iter().filter(made) {
        let mut due = Due::new(store, finer, now).await?;
        while let Some(page) = due.page().await? {
            count += page.len() as u64;
            let jobs = page.iter().map(|span| Job::new(span).encode());
            queue.put(jobs.collect()).await?;
        }
    }
    Ok(count)
}
