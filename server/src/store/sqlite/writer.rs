//! One thread writes: many posts in one transaction.
//!
//! SQLite has one writer at a time, and what a commit costs (a sync of the disk
//! above all) does not depend on how much is in it. So whatever has queued up
//! while the last commit was under way goes into the next one; each caller is
//! answered after the commit that its work is in.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::memory::{Memory, Versions};
use crate::clock;
use crate::store::error::{StoreError, failed};

/// At most how many jobs go into one transaction.
const GROUP: usize = 128;
/// How many jobs may wait; a caller beyond that waits for its turn to queue.
const QUEUE: usize = 1_024;

/// The transaction that is open, and what the writer remembers of the database.
pub(super) struct Open<'a> {
    pub(super) connection: &'a Connection,
    pub(super) memory: &'a mut Memory,
}

/// Something to be done within a transaction, more than once if another job in it fails.
trait Job: Send {
    fn apply(&mut self, open: &mut Open<'_>) -> Result<(), StoreError>;
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Task<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&mut Open<'_>) -> Result<T, StoreError> + Send> Job for Task<T, F> {
    fn apply(&mut self, open: &mut Open<'_>) -> Result<(), StoreError> {
        self.result = Some((self.work)(open)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let outcome = outcome.and_then(|()| result.ok_or(StoreError::Closed));
        // Nobody waits any more when the client went away; the work is done all the same.
        let _ = reply.send(outcome);
    }
}

/// The handle of the writing thread; dropping it ends the thread once its queue is empty.
pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, versions: Versions) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || run(connection, Memory::new(versions), &jobs))
            .map_err(|source| StoreError::Database {
                doing: "start the writing thread",
                source: Box::new(source),
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs `work` within a transaction, and returns when that is committed.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Open<'_>) -> Result<T, StoreError> + Send + 'static,
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

fn run(mut connection: Connection, mut memory: Memory, jobs: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        commit(&mut connection, &mut memory, group);
    }
    // Leaves one file behind, not three.
    if let Err(error) = connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)")
    {
        warn!(%error, "cannot tidy up the database at the end");
    }
}

/// Runs a group in one transaction. A job that fails is answered and taken out, and the others are run again.
fn commit(connection: &mut Connection, memory: &mut Memory, mut group: Vec<Box<dyn Job>>) {
    while !group.is_empty() {
        match attempt(connection, memory, &mut group) {
            Ok(()) => {
                for job in group {
                    job.finish(Ok(()));
                }
                return;
            }
            Err((at, error)) => {
                memory.forget();
                warn!(%error, "a write failed and was undone");
                match at {
                    Some(index) => group.remove(index).finish(Err(error)),
                    None => {
                        // The commit itself: nothing of the group is stored.
                        let text = error.to_string();
                        for job in group {
                            job.finish(Err(StoreError::Database {
                                doing: "commit",
                                source: text.clone().into(),
                            }));
                        }
                        return;
                    }
                }
            }
        }
    }
}

fn attempt(
    connection: &mut Connection,
    memory: &mut Memory,
    group: &mut [Box<dyn Job>],
) -> Result<(), (Option<usize>, StoreError)> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begun.map_err(|error| (None, failed("begin a transaction")(error)))?;
    for (index, job) in group.iter_mut().enumerate() {
        let mut open = Open {
            connection: &transaction,
            memory,
        };
        job.apply(&mut open).map_err(|error| (Some(index), error))?;
    }
    let flushed = memory.flush(&transaction);
    flushed.map_err(|error| (None, error))?;
    let committed = transaction.commit();
    committed.map_err(|error| (None, failed("commit")(error)))?;
    memory.committed(clock::now());
    Ok(())
}
