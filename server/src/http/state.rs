//! What all handlers share.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use crate::auth::secret::Secret;
use crate::ingest::Ingest;
use crate::ingest::live::Live;
use crate::metrics::Metrics;
use crate::query::Query;
use crate::rollup::retention::Retention;
use crate::store::Store;

/// Bounds on what the server takes on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body: usize,
    /// Posts that are worked on at the same time.
    pub posts: usize,
    /// Questions that are worked on at the same time.
    pub reads: usize,
    /// Live streams that are open at the same time.
    pub streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 << 20,
            posts: 64,
            reads: 64,
            streams: 256,
        }
    }
}

/// What all handlers share; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The secret of tokens.
    pub secret: Secret,
    /// Whether anyone may read everything, without a token.
    pub open: bool,
    /// Takes batches.
    pub ingest: Arc<Ingest>,
    /// Tells what has come in.
    pub live: Live,
    /// Answers questions.
    pub query: Query,
    /// The server's own figures.
    pub metrics: Arc<Metrics>,
    /// Bounds.
    pub limits: Limits,
    /// Places for posts.
    pub posts: Arc<Semaphore>,
    /// Places for questions.
    pub reads: Arc<Semaphore>,
    /// Places for live streams.
    pub streams: Arc<Semaphore>,
    /// Becomes true when the server stops.
    pub stop: watch::Receiver<bool>,
}

impl AppState {
    /// The state of a server on `store`.
    pub fn new(
        store: Arc<dyn Store>,
        secret: Secret,
        retention: Retention,
        limits: Limits,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let metrics = Arc::new(Metrics::default());
        let live = Live::default();
        Self {
            ingest: Arc::new(Ingest::new(
                Arc::clone(&store),
                live.clone(),
                Arc::clone(&metrics),
            )),
            query: Query::new(Arc::clone(&store), retention),
            posts: Arc::new(Semaphore::new(limits.posts)),
            reads: Arc::new(Semaphore::new(limits.reads)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            store,
            secret,
            open: false,
            live,
            metrics,
            limits,
            stop,
        }
    }
}
