//! Bindings: the owner of API keys that a container or a source belongs to.
//!
//! The first post of a container binds it to the owner of its key and to its host, until somebody
//! releases it. Keys are replaced without a release, as the new key has the same owner.

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, SourceId};
use bubble_common::short_id::short_form;

use super::error::StoreError;

/// Keeps bindings.
#[async_trait]
pub trait Bindings: Send + Sync + 'static {
    /// Binds each name of `wanted` that is free, and returns the binding that holds it now, in the same
    /// order. Completes a binding of the same owner that lacks the host or the identity.
    async fn bind(&self, wanted: Vec<Binding>) -> Result<Vec<Binding>, StoreError>;

    /// The binding of a name.
    async fn binding(&self, name: &str) -> Result<Option<Binding>, StoreError>;

    /// All bindings, by name.
    async fn bindings(&self) -> Result<Vec<Binding>, StoreError>;

    /// Releases a name; `false` if it was free.
    async fn release(&self, name: &str) -> Result<bool, StoreError>;
}

/// What a name belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The name: [`of_container`], [`of_source`], [`of_twin`].
    pub name: String,
    /// Owner of the key.
    pub owner: String,
    /// Host that the post was from; empty if it names none.
    pub host: String,
    /// Tells things of one name apart; empty if unknown. Of a container: its full id, if its name is
    /// the short form. Of a source: [`LIVE`] or [`RECORDED`].
    pub identity: String,
    /// Id of the key that posted it first.
    pub key: String,
    /// When: seconds since the Unix epoch.
    pub since: u64,
}

/// The identity of a source that an agent posts live.
pub const LIVE: &str = "live";
/// The identity of a source that belongs to a recording.
pub const RECORDED: &str = "recorded";

impl Binding {
    /// Whether `wanted` has a host or an identity that this binding of the same owner lacks.
    pub fn is_completed_by(&self, wanted: &Self) -> bool {
        let lacks = |own: &str, other: &str| own.is_empty() && !other.is_empty();
        self.owner == wanted.owner
            && (lacks(&self.host, &wanted.host) || lacks(&self.identity, &wanted.identity))
    }
}

/// The name of a container's binding.
pub fn of_container(id: &ContainerId) -> String {
    id.as_str().to_owned()
}

/// The name of a source's binding. No container id has a blank.
pub fn of_source(source: SourceId) -> String {
    format!("source {source}")
}

/// The name under which the full id of a container is noted whose short form another one has already.
/// They are numbered from 1.
pub fn of_twin(id: &ContainerId, number: usize) -> String {
    let short = short_form(id.as_str()).unwrap_or(id.as_str());
    format!("twin {short} {number}")
}
