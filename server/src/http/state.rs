//! The state that all handlers share.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tracing::warn;

use super::attention::Attention;
use super::base::BasePath;
use super::feed::Feeds;
use super::shares::Shares;
use crate::auth::attempts::Attempts;
use crate::auth::revoked::Revoked;
use crate::auth::secret::Secret;
use crate::capture::start::Readers;
use crate::ingest::Ingest;
use crate::ingest::live::Live;
use crate::memory;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::query::Query;
use crate::span::retention::Retention;
use crate::store::Store;

/// Bounds on connections, on the size of a body and on concurrent work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at the same time.
    pub connections: usize,
    /// Of these, connections of one client: an IPv4 address, or a network of 64 bits of IPv6.
    pub connections_per_network: usize,
    /// Largest body, in bytes.
    pub body: usize,
    /// Largest capture that is uploaded, in bytes; 0: none is taken.
    pub capture: u64,
    /// Posts that are handled at the same time.
    pub posts: usize,
    /// Queries that are handled at the same time.
    pub reads: usize,
    /// Live streams that are open at the same time.
    pub streams: usize,
    /// Of these, streams with one token.
    pub streams_per_token: usize,
    /// Memory of the process, in bytes.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_per_network: 2_048,
            body: 16 << 20,
            capture: 1 << 30,
            posts: 64,
            reads: 64,
            streams: 256,
            streams_per_token: 64,
            memory: memory::default_limit(),
        }
    }
}

/// The state that all handlers share; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Signs tokens.
    pub secret: Secret,
    /// Tokens that are revoked.
    pub revoked: Arc<Revoked>,
    /// Wrong keys and tokens, by address.
    pub attempts: Arc<Attempts>,
    /// Whether anyone may read everything, without a token.
    pub open: bool,
    /// Path below which a reverse proxy shows the server.
    pub base: BasePath,
    /// Length in seconds of the slots of seconds in answers for the Python system's page.
    pub legacy_slots: u64,
    /// Stores batches.
    pub ingest: Arc<Ingest>,
    /// Reads uploaded captures.
    pub readers: Readers,
    /// Announces what was stored.
    pub live: Live,
    /// Answers queries.
    pub query: Query,
    /// The server's own metrics.
    pub metrics: Arc<Metrics>,
    /// The bounds.
    pub limits: Limits,
    /// Permits for posts that are complete.
    pub posts: Arc<Semaphore>,
    /// Permits for queries.
    pub reads: Arc<Semaphore>,
    /// Permits for live streams.
    pub streams: Arc<Semaphore>,
    /// Streams by token.
    pub streams_by_token: Shares,
    /// What somebody looks at.
    pub attention: Attention,
    /// Permits for agents that wait for a change of that: half of the connections.
    pub watches: Arc<Semaphore>,
    /// Bytes of unfinished bodies by key.
    pub bodies_by_key: Shares,
    /// What live streams share.
    pub feeds: Feeds,
    /// The budget of memory.
    pub memory: Memory,
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
        let memory = Memory::new(limits.memory);
        warn_of_large_bodies(limits.body, share_of_bodies(&memory));
        Self {
            ingest: Arc::new(Ingest::new(
                Arc::clone(&store),
                live.clone(),
                Arc::clone(&metrics),
                memory.posts.clone(),
            )),
            query: Query::new(Arc::clone(&store), retention).within(memory.clone()),
            posts: Arc::new(Semaphore::new(limits.posts)),
            reads: Arc::new(Semaphore::new(limits.reads)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            streams_by_token: Shares::new(limits.streams_per_token),
            attention: Attention::new(Arc::clone(&store)),
            watches: Arc::new(Semaphore::new((limits.connections / 2).max(1))),
            bodies_by_key: Shares::new(share_of_bodies(&memory)),
            feeds: Feeds::default(),
            readers: Readers::new(memory.large_query.clone()),
            memory,
            store,
            secret,
            revoked: Arc::default(),
            attempts: Arc::default(),
            open: false,
            base: BasePath::default(),
            legacy_slots: 1,
            live,
            metrics,
            limits,
            stop,
        }
    }
}

/// Warns if bodies of `max_body` bytes can never be taken, because one key has only `share` of the memory.
fn warn_of_large_bodies(max_body: usize, share: usize) {
    if max_body > share {
        let enough = max_body.saturating_mul(2 * Memory::PARTS);
        warn!(
            max_body,
            share,
            "bodies larger than half of the memory for bodies are refused (413): lower --max-body to \
             {share}, or raise --memory-limit to {enough}"
        );
    }
}

/// What one key may have of the memory for bodies: half, so that no key keeps all others out.
fn share_of_bodies(memory: &Memory) -> usize {
    memory.bodies.size() / 2
}
