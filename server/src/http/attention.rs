//! Attention: what the viewers of all servers look at, for the agents of this one.
//!
//! ```text
//! live stream ─► guard ─► store (each few seconds, with an expiry)
//!                  │        │ once a second, while an agent asks
//!                  ▼        ▼
//!                  the list of watched containers ─► requests of agents (`watch.rs`)
//! ```
//!
//! A viewer of this server is known at once, one of another server within a second.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bubble_common::segment::ContainerId;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::debug;

use crate::store::Store;
use crate::store::attention::Watched;
use crate::store::container::Container;

/// How often the store is told that somebody still watches. Shorter than its expiry by enough attempts.
const NOTE_INTERVAL: Duration = Duration::from_secs(5);
/// How often the store is read for the viewers of other servers.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// Reads without an agent that asks, after which reading ends.
const MAX_IDLE_READS: u32 = 60;

/// The watched containers.
pub(super) type List = Arc<BTreeSet<Watched>>;

/// What is watched, through this server and others; cheap to clone.
#[derive(Clone)]
pub struct Attention(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    state: Mutex<State>,
    list: watch::Sender<List>,
}

#[derive(Default)]
struct State {
    /// Watched through this server, and the number of feeds that do so.
    own: HashMap<ContainerId, (Watched, usize)>,
    /// As the store has it.
    stored: BTreeSet<Watched>,
    /// Whether a task reads the store.
    reads: bool,
}

/// Keeps a container watched until it is dropped.
pub(super) struct Guard {
    shared: Arc<Shared>,
    container: ContainerId,
    notes: JoinHandle<()>,
}

impl Attention {
    /// Nothing is watched yet.
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Shared {
            store,
            state: Mutex::default(),
            list: watch::Sender::new(List::default()),
        }))
    }

    /// Watches a container until the guard is dropped. `None` if no agent posts it live, as far as is
    /// known.
    pub(super) fn watch(&self, container: &Container) -> Option<Guard> {
        let binding = container.binding.as_ref();
        let binding = binding.filter(|binding| !binding.host.is_empty())?;
        let watched = Watched {
            container: container.id.clone(),
            owner: binding.owner.clone(),
            host: binding.host.clone(),
        };
        {
            let mut state = self.0.lock();
            let entry = state.own.entry(container.id.clone());
            entry.or_insert_with(|| (watched.clone(), 0)).1 += 1;
            self.0.publish(&state);
        }
        let store = Arc::clone(&self.0.store);
        let notes = tokio::spawn(async move {
            loop {
                if let Err(error) = store.note_watched(watched.clone()).await {
                    debug!(%error, "cannot note a watched container");
                }
                tokio::time::sleep(NOTE_INTERVAL).await;
            }
        });
        Some(Guard {
            shared: Arc::clone(&self.0),
            container: container.id.clone(),
            notes,
        })
    }

    /// Follows the list.
    pub(super) fn subscribe(&self) -> watch::Receiver<List> {
        let receiver = self.0.list.subscribe();
        let mut state = self.0.lock();
        if !std::mem::replace(&mut state.reads, true) {
            tokio::spawn(read(Arc::downgrade(&self.0)));
        }
        receiver
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &State) {
        let own = state.own.values().map(|(watched, _)| watched);
        let list: BTreeSet<Watched> = own.chain(&state.stored).cloned().collect();
        self.list.send_if_modified(|known| {
            let differs = **known != list;
            if differs {
                *known = Arc::new(list);
            }
            differs
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.notes.abort();
        let mut state = self.shared.lock();
        if let Some((_, feeds)) = state.own.get_mut(&self.container) {
            *feeds -= 1;
            if *feeds == 0 {
                state.own.remove(&self.container);
            }
        }
        self.shared.publish(&state);
    }
}

/// Reads the store once a second, until no agent has asked for a while.
async fn read(shared: Weak<Shared>) {
    let mut idle = 0;
    loop {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match shared.store.watched().await {
            Ok(stored) => {
                let mut state = shared.lock();
                state.stored = stored.into_iter().collect();
                shared.publish(&state);
            }
            Err(error) => debug!(%error, "cannot read the watched containers"),
        }
        {
            let mut state = shared.lock();
            idle = match shared.list.receiver_count() {
                0 => idle + 1,
                _ => 0,
            };
            if idle >= MAX_IDLE_READS {
                state.reads = false;
                return;
            }
        }
        drop(shared);
        tokio::time::sleep(READ_INTERVAL).await;
    }
}
