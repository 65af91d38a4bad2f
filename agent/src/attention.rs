//! What is delivered at once, and what waits for the next delivery.
//!
//! | delivered | when |
//! |---|---|
//! | a container that somebody looks at | each second, as the server says so (`send/watch.rs`) |
//! | a container that starts or ends, or whose limit of memory killed a process | that second |
//! | everything | at the end of the agent, and each second if the server does not say what is looked at |
//! | the rest | once per interval of delivery, merged |

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bubble_common::segment::ContainerId;
use bubble_common::short_id::{is_full, short_form};
use tokio::sync::Notify;

/// Names of containers, as [`name_of`] makes them.
pub type Names = BTreeSet<String>;

/// The name by which the server knows a container: the short form of a full id, else the id.
pub fn name_of(id: &ContainerId) -> &str {
    let id = id.as_str();
    let short = is_full(id).then(|| short_form(id)).flatten();
    short.unwrap_or(id)
}

/// What is delivered at once. Clones share it.
#[derive(Debug, Clone)]
pub struct Attention(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Interval of delivery.
    interval: Duration,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The containers that somebody looks at. `None`: the server does not say.
    watched: Option<Names>,
    /// Containers that have just started, ended or reached their limit of memory.
    urgent: Names,
    /// The agent ends.
    flush: bool,
}

/// What goes into the next post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AtOnce {
    /// Batches that have waited so long are due.
    pub(crate) interval: Duration,
    /// Whether the server takes merged batches.
    pub(crate) merges: bool,
    /// These containers do not wait.
    pub(crate) names: Names,
}

impl Attention {
    /// Delivers once per `interval`. Until the server has said what is looked at, everything is
    /// delivered at once.
    pub fn new(interval: Duration) -> Self {
        Self(Arc::new(Shared {
            interval,
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Interval of delivery.
    pub fn interval(&self) -> Duration {
        self.0.interval
    }

    /// Sets the containers that somebody looks at. `None`: the server does not say.
    pub fn set_watched(&self, watched: Option<Names>) {
        self.lock().watched = watched;
        self.0.changed.notify_one();
    }

    /// Whether the server says what is looked at.
    pub fn is_known(&self) -> bool {
        self.lock().watched.is_some()
    }

    /// Delivers what waits of these containers.
    pub fn urge(&self, names: Names) {
        if names.is_empty() {
            return;
        }
        self.lock().urgent.extend(names);
        self.0.changed.notify_one();
    }

    /// Delivers everything at once from now on.
    pub fn flush(&self) {
        self.lock().flush = true;
        self.0.changed.notify_one();
    }

    /// Waits until something was set or urged since the last wait.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// What goes into the next post. Takes the urgent containers: [`Self::urge`] them again if they
    /// could not be delivered.
    pub(crate) fn take(&self) -> AtOnce {
        let mut state = self.lock();
        let mut names = std::mem::take(&mut state.urgent);
        let interval = match &state.watched {
            Some(watched) => {
                names.extend(watched.iter().cloned());
                self.0.interval
            }
            None => Duration::ZERO,
        };
        let is_each_second = state.flush || interval <= Duration::from_secs(1);
        AtOnce {
            interval: if is_each_second {
                Duration::ZERO
            } else {
                interval
            },
            merges: state.watched.is_some(),
            names,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bubble_common::segment::ContainerId;

    use super::{Attention, Names, name_of};

    fn names(names: &[&str]) -> Names {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_full_id_has_the_servers_name() {
        let full = "0123456789ab".repeat(6)[..64].to_owned();
        let id = |text: &str| ContainerId::new(text).unwrap();
        assert_eq!(name_of(&id(&full)), "0123456789ab");
        assert_eq!(name_of(&id("slurm-42.0@node7")), "slurm-42.0@node7");
    }

    #[test]
    fn everything_is_at_once_until_the_server_says_what_is_looked_at() {
        let attention = Attention::new(Duration::from_secs(10));
        let first = attention.take();
        assert_eq!((first.interval, first.merges), (Duration::ZERO, false));
        attention.set_watched(Some(names(&["a"])));
        attention.urge(names(&["b"]));
        let next = attention.take();
        assert_eq!(next.interval, Duration::from_secs(10));
        assert_eq!((next.merges, next.names), (true, names(&["a", "b"])));
        assert_eq!(attention.take().names, names(&["a"]), "urged once");
        attention.flush();
        assert_eq!(attention.take().interval, Duration::ZERO);
    }
}
