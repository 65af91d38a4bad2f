//! The spool as threads share it: one appends, one sends.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Spool;

/// A spool behind a lock, with a notification for the sender.
#[derive(Debug)]
pub struct Queue {
    spool: Mutex<Spool>,
    appended: Notify,
}

impl Queue {
    /// A queue over a spool.
    pub fn new(spool: Spool) -> Arc<Self> {
        Arc::new(Self {
            spool: Mutex::new(spool),
            appended: Notify::new(),
        })
    }

    /// Runs `act` on the locked spool.
    pub fn with<T>(&self, act: impl FnOnce(&mut Spool) -> T) -> T {
        // A panic elsewhere leaves the spool as a crash would, and it survives crashes.
        act(&mut self.spool.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Wakes the sender: a batch was appended.
    pub fn notify(&self) {
        self.appended.notify_one();
    }

    /// Waits until [`Self::notify`] was called since the last wait.
    pub async fn appended(&self) {
        self.appended.notified().await;
    }
}
