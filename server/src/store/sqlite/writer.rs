//! One thread writes, many posts in one transaction.
//!
//! SQLite allows one writer at a time, and the cost of a commit, mostly a disk sync, does
//! not depend on its size. So all that was queued during one commit goes into the next.
//! Each caller is answered after the commit that contains its work.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;
use tracing::{debug, error, warn};

use super::cache::Cache;
use super::space::Log;
use super::versions::Versions;
use crate::clock;
use crate::store::error::{StoreError, failed};

/// Jobs in one transaction at most.
const MAX_GROUP: usize = 128;
/// Jobs in the queue at most. Further callers wait until there is room.
const MAX_QUEUED: usize = 1_024;

/// A moment of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Before it begins.
    Begin,
    /// After its commit, before anybody is answered.
    Committed,
}

/// Fails transactions on purpose: is called at each step, and its error is that of the step. For
/// simulations only.
pub type Faults = Box<dyn FnMut(Step) -> Result<(), StoreError> + Send>;

/// The open transaction, and the cache of the writer.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a Connection,
    pub(super) cache: &'a mut Cache,
}

/// Work within a transaction. Runs again if another job of the transaction fails.
trait Job: Send {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<(), StoreError>;
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Task<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&mut Transaction<'_>) -> Result<T, StoreError> + Send> Job for Task<T, F> {
    fn apply(&mut self, transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
        self.result = Some((self.work)(transaction)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let outcome = outcome.and_then(|()| result.ok_or(StoreError::Closed));
        // Fails if the client went away; the work is done all the same.
        let _ = reply.send(outcome);
    }
}

/// When a commit last succeeded; `None` after one that failed.
type LastWrite = Arc<Mutex<Option<Instant>>>;

/// Handle of the writing thread. Dropping it ends the thread when the queue is empty.
pub(super) struct Writer {
    last_write: LastWrite,
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, with the only connection that writes to the database at `path`.
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        versions: Versions,
        faults: Option<Faults>,
    ) -> Result<Self, StoreError> {
        let log = Log::of(path);
        let target = Target {
            connection,
            cache: Cache::new(versions),
            faults,
        };
        let (queue, jobs) = sync_channel(MAX_QUEUED);
        let last_write = LastWrite::default();
        let written = Arc::clone(&last_write);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || run(target, &log, &jobs, &written))
            .map_err(|source| StoreError::Database {
                doing: "start the writing thread",
                source: Box::new(source),
            })?;
        Ok(Self {
            last_write,
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Whether the latest commit succeeded, at most `age` ago.
    pub(super) fn has_just_written(&self, age: Duration) -> bool {
        let last = self.last_write.lock();
        let last = *last.unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() <= age)
    }

    /// Runs `work` within a transaction, and returns after its commit.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Task {
            work,
            result: None,
            reply,
        });
        let queue = self.queue.clone().ok_or(StoreError::Closed)?;
        match queue.try_send(job) {
            Ok(()) => {}
            Err(std::sync::mpsc::TrySendError::Full(job)) => {
                tokio::task::spawn_blocking(move || queue.send(job))
                    .await
                    .map_err(|_| StoreError::Closed)?
                    .map_err(|_| StoreError::Closed)?;
            }
            Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return Err(StoreError::Closed),
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the thread that writes to the database panicked");
        }
    }
}

/// What the thread writes to.
struct Target {
    connection: Connection,
    cache: Cache,
    faults: Option<Faults>,
}

impl Target {
    /// Fails if a simulation wants it to.
    fn probe(&mut self, step: Step) -> Result<(), (Option<usize>, StoreError)> {
        let probed = self.faults.as_mut().map_or(Ok(()), |faults| faults(step));
        probed.map_err(|error| (None, error))
    }
}

fn run(mut target: Target, log: &Log, jobs: &Receiver<Box<dyn Job>>, last_write: &LastWrite) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < MAX_GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        let written = commit(&mut target, group).then(Instant::now);
        *last_write.lock().unwrap_or_else(PoisonError::into_inner) = written;
        if let Err(error) = log.bound(&target.connection) {
            warn!(%error, "cannot shorten the log of the database");
        }
    }
    // Leaves one file behind, not three.
    let tidy = "PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)";
    if let Err(error) = target.connection.execute_batch(tidy) {
        warn!(%error, "cannot tidy up the database at shutdown");
    }
}

/// Runs a group in one transaction. A job that fails is answered and removed, and the others run again.
/// Returns whether all of it was committed.
fn commit(target: &mut Target, mut group: Vec<Box<dyn Job>>) -> bool {
    let mut is_whole = true;
    while !group.is_empty() {
        match attempt(target, &mut group) {
            Ok(()) => {
                for job in group {
                    job.finish(Ok(()));
                }
                return is_whole;
            }
            Err((at, error)) => {
                is_whole = false;
                target.cache.forget();
                // Each caller logs or prints the error.
                debug!(%error, "a write failed and was rolled back");
                match at {
                    Some(index) => group.remove(index).finish(Err(error)),
                    None => {
                        // The commit itself failed: nothing of the group is stored.
                        let (doing, text) = match &error {
                            StoreError::Database { doing, source } => (*doing, source.to_string()),
                            error => ("commit", error.to_string()),
                        };
                        for job in group {
                            job.finish(Err(StoreError::Database {
                                doing,
                                source: text.clone().into(),
                            }));
                        }
                        return false;
                    }
                }
            }
        }
    }
    is_whole
}

fn attempt(
    target: &mut Target,
    group: &mut [Box<dyn Job>],
) -> Result<(), (Option<usize>, StoreError)> {
    target.probe(Step::Begin)?;
    let Target {
        connection, cache, ..
    } = target;
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begun.map_err(|error| (None, failed("begin a transaction")(error)))?;
    for (index, job) in group.iter_mut().enumerate() {
        let mut transaction = Transaction {
            connection: &transaction,
            cache,
        };
        job.apply(&mut transaction)
            .map_err(|error| (Some(index), error))?;
    }
    let flushed = cache.flush(&transaction);
    flushed.map_err(|error| (None, error))?;
    let committed = transaction.commit();
    committed.map_err(|error| (None, failed("commit")(error)))?;
    target.probe(Step::Committed)?;
    target.cache.publish(clock::now());
    Ok(())
}
