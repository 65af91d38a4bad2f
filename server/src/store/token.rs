//! Tokens that were made, and those that were revoked.

use std::time::Duration;

use async_trait::async_trait;

use super::error::StoreError;
use crate::span::extent::Extent;

/// Time that an expired token is still remembered: servers accept it a little longer, and their clocks
/// differ.
pub const MARGIN: Duration = Duration::from_secs(3_600);

/// Keeps tokens until [`Self::expire_tokens`]: their ids, never the tokens themselves.
#[async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// Notes a new token. One that is revoked stays so.
    async fn put_token(&self, token: IssuedToken) -> Result<(), StoreError>;

    /// All tokens that have not expired at `now` (seconds since the Unix epoch), by id.
    async fn tokens(&self, now: u64) -> Result<Vec<IssuedToken>, StoreError>;

    /// Revokes the token with this id, which need not be noted. It expires at `expires`, or with the
    /// noted token if that is later.
    async fn revoke_token(&self, id: &str, expires: u64) -> Result<(), StoreError>;

    /// Deletes the tokens that expired before `before`. It must be a trusted time: a revoked token that
    /// is deleted too early is valid again.
    async fn expire_tokens(&self, before: u64) -> Result<(), StoreError>;
}

/// A token that was made or revoked. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// Its id: the claim `jti`.
    pub id: String,
    /// What it is for: the id of a container, or empty for everything.
    pub container: String,
    /// When it was made; 0 if it was only revoked.
    pub created: u64,
    /// When it expires.
    pub expires: u64,
    /// Whether it is revoked.
    pub revoked: bool,
    /// What it shows of the container, if it is a shared link.
    pub shared: Option<Extent>,
}
