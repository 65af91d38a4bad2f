//! Whose container it is: each container and each source belongs to the owner of the key that posted
//! it first, and segments of others are refused.
//!
//! | posted | bound to | refused |
//! |---|---|---|
//! | live | owner of the key, host of the batch | another owner, another host |
//! | recording, legacy | owner of the key | another owner |
//! | recording by an administrator | its source only | a source of live data |
//!
//! A container with an id of 64 digits is stored under the first 12 of them. If another container has
//! them already, it is stored under all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bubble_common::segment::{ContainerId, Key, SourceId};
use bubble_common::short_id::{is_full, short_id};

use super::prepare::Prepared;
use super::receipt::Reason;
use crate::store::Store;
use crate::store::binding::{Binding, LIVE, RECORDED, of_container, of_source, of_twin};
use crate::store::error::StoreError;
use crate::store::key::ApiKey;
use crate::store::resolve::MAX_TWINS;

/// Time after which a binding is read again, because somebody may have released it.
const BINDING_TTL: Duration = Duration::from_secs(60);
/// Bindings in memory at most. Beyond that all are read again.
const MAX_BINDINGS: usize = 100_000;

/// The bindings that this server has read.
#[derive(Debug, Default)]
pub(super) struct Owners {
    known: Mutex<HashMap<String, (Binding, Instant)>>,
}

/// Who posts.
#[derive(Debug, Clone)]
pub(super) struct Poster {
    /// Owner of its key.
    owner: String,
    /// Id of its key.
    key: String,
    /// Its host; empty if the post is not about the host that it comes from.
    host: String,
    /// Whether it posts a recording.
    recorded: bool,
    /// Whether it posts recordings of containers of any owner, and binds none.
    is_administrator: bool,
    /// Whether its sources have names of their own. Those of the legacy wire are derived from the key.
    has_sources: bool,
    now: u64,
}

impl Poster {
    /// The agent of `host`, or who posts a recording.
    pub(super) fn agent(key: &ApiKey, host: &str, recorded: bool, now: u64) -> Self {
        let host = if recorded { "" } else { host };
        Self {
            owner: key.owner.clone(),
            key: key.id.clone(),
            host: host.to_owned(),
            recorded,
            is_administrator: false,
            has_sources: true,
            now,
        }
    }

    /// An administrator, who posts a recording. `token` stands for the key.
    pub(super) fn administrator(token: &ApiKey, now: u64) -> Self {
        Self {
            is_administrator: true,
            ..Self::agent(token, "", true, now)
        }
    }

    /// A chisel. Several hosts may post one job.
    pub(super) fn chisel(key: &ApiKey, recorded: bool, now: u64) -> Self {
        Self {
            has_sources: false,
            ..Self::agent(key, "", recorded, now)
        }
    }

    fn wants(&self, name: String, host: &str, identity: &str) -> Binding {
        Binding {
            name,
            owner: self.owner.clone(),
            host: host.to_owned(),
            identity: identity.to_owned(),
            key: self.key.clone(),
            since: self.now,
        }
    }

    /// The binding that a container needs, under the short form of its id.
    fn of_container(&self, id: &ContainerId) -> Binding {
        match short_id(id.as_str()).filter(|_| is_full(id.as_str())) {
            Some(short) => self.wants(of_container(&short), &self.host, id.as_str()),
            None => self.wants(of_container(id), &self.host, ""),
        }
    }

    fn of_source(&self, source: SourceId) -> Binding {
        let identity = if self.recorded { RECORDED } else { LIVE };
        self.wants(of_source(source), "", identity)
    }
}

impl Owners {
    /// Refuses the segments of `prepared` that belong to others, and gives the rest the ids under which
    /// they are stored.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn check(
        &self,
        store: &dyn Store,
        prepared: &mut Prepared,
        poster: &Poster,
    ) -> Result<(), StoreError> {
        let mut wanted: BTreeMap<String, Binding> = BTreeMap::new();
        // Containers that an administrator posts: they stay without an owner if they have none.
        let mut unbound: BTreeSet<String> = BTreeSet::new();
        for post in &prepared.posts {
            let of_source = poster
                .has_sources
                .then(|| poster.of_source(post.key.source));
            let of_container = poster.of_container(&post.key.container);
            if poster.is_administrator {
                unbound.insert(of_container.name.clone());
            } else {
                // Of two containers with one short id, the second one is told apart below.
                let name = of_container.name.clone();
                wanted.entry(name).or_insert(of_container);
            }
            if let Some(binding) = of_source {
                wanted.entry(binding.name.clone()).or_insert(binding);
            }
        }
        let mut bound = self.bind(store, wanted.into_values().collect()).await?;
        for name in unbound {
            if let Some(held) = store.binding(&name).await? {
                bound.insert(name, held);
            }
        }
        // Containers whose short id belongs to another one.
        let mut twins: BTreeMap<String, Binding> = BTreeMap::new();
        for post in &prepared.posts {
            let id = &post.key.container;
            let of_short = poster.of_container(id);
            if bound
                .get(&of_short.name)
                .is_some_and(|held| is_twin(held, &of_short))
            {
                let name = of_container(id);
                twins.insert(name.clone(), poster.wants(name, &poster.host, id.as_str()));
            }
        }
        for twin in twins.values() {
            self.note_twin(store, twin).await?;
        }
        if !poster.is_administrator {
            bound.extend(self.bind(store, twins.into_values().collect()).await?);
        }
        prepared.judge(|key| judge(poster, &bound, key));
        Ok(())
    }

    /// Notes a container whose short id belongs to another one, so that it is found by it.
    async fn note_twin(&self, store: &dyn Store, twin: &Binding) -> Result<(), StoreError> {
        let Ok(id) = ContainerId::new(&twin.identity) else {
            return Ok(());
        };
        for number in 1..=MAX_TWINS {
            let wanted = Binding {
                name: of_twin(&id, number),
                ..twin.clone()
            };
            let name = wanted.name.clone();
            let bound = self.bind(store, vec![wanted]).await?;
            let held = bound.get(&name);
            if held.is_some_and(|held| held.identity == twin.identity) {
                break;
            }
        }
        Ok(())
    }

    /// The bindings of all names that are `wanted`.
    async fn bind(
        &self,
        store: &dyn Store,
        wanted: Vec<Binding>,
    ) -> Result<HashMap<String, Binding>, StoreError> {
        let (mut bound, mut unknown) = (HashMap::with_capacity(wanted.len()), Vec::new());
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for wanted in wanted {
                // What would be refused is read again: it may have been released.
                let good = known.get(&wanted.name).filter(|(held, at)| {
                    at.elapsed() < BINDING_TTL
                        && !held.is_completed_by(&wanted)
                        && (permits(held, &wanted).is_ok() || is_twin(held, &wanted))
                });
                match good {
                    Some((held, _)) => drop(bound.insert(wanted.name, held.clone())),
                    None => unknown.push(wanted),
                }
            }
        }
        if unknown.is_empty() {
            return Ok(bound);
        }
        let found = store.bind(unknown).await?;
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + found.len() > MAX_BINDINGS {
            known.clear();
        }
        for held in found {
            known.insert(held.name.clone(), (held.clone(), now));
            bound.insert(held.name.clone(), held);
        }
        Ok(bound)
    }
}

/// Whether `held` is another container with the same short id.
fn is_twin(held: &Binding, wanted: &Binding) -> bool {
    let both_full = is_full(&held.identity) && is_full(&wanted.identity);
    both_full && held.identity != wanted.identity
}

/// The id under which a segment is stored, or why it is refused.
fn judge(
    poster: &Poster,
    bound: &HashMap<String, Binding>,
    key: &Key,
) -> Result<ContainerId, Reason> {
    let check = |wanted: &Binding| match bound.get(&wanted.name) {
        // A container of another owner may have another host, too.
        Some(held) if poster.is_administrator => permits_kind(held, wanted),
        Some(held) => permits(held, wanted),
        None if poster.is_administrator => Ok(()),
        // Cannot be: all names were bound.
        None => Err(Reason::OtherOwner),
    };
    if poster.has_sources {
        check(&poster.of_source(key.source))?;
    }
    let of_short = poster.of_container(&key.container);
    let is_twin = bound
        .get(&of_short.name)
        .is_some_and(|held| is_twin(held, &of_short));
    let (id, wanted) = match is_twin {
        true => {
            let name = of_container(&key.container);
            let wanted = poster.wants(name, &poster.host, key.container.as_str());
            (Some(key.container.clone()), wanted)
        }
        false => (ContainerId::new(&of_short.name).ok(), of_short),
    };
    check(&wanted)?;
    Ok(id.unwrap_or_else(|| key.container.clone()))
}

/// Whether whoever has `wanted` may post what is bound by `held`.
fn permits(held: &Binding, wanted: &Binding) -> Result<(), Reason> {
    if held.owner != wanted.owner {
        return Err(Reason::OtherOwner);
    }
    if differ(&held.host, &wanted.host) {
        return Err(Reason::OtherHost {
            host: held.host.clone(),
        });
    }
    permits_kind(held, wanted)
}

/// Whether a source that is bound by `held` may be posted as `wanted`, live or recorded. Ids of containers
/// were compared before.
fn permits_kind(held: &Binding, wanted: &Binding) -> Result<(), Reason> {
    match differ(&held.identity, &wanted.identity) {
        true => Err(Reason::OtherSource),
        false => Ok(()),
    }
}

/// Whether both are known, and differ.
fn differ(a: &str, b: &str) -> bool {
    !a.is_empty() && !b.is_empty() && a != b
}
