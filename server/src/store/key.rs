//! API keys, stored as hashes.

use async_trait::async_trait;

use super::error::StoreError;

/// Keeps API keys.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// Stores an API key.
    async fn create_key(&self, key: ApiKey) -> Result<(), StoreError>;

    /// An API key by its id.
    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError>;

    /// All API keys, oldest first.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Deletes an API key; `false` if the id is unknown.
    async fn delete_key(&self, id: &str) -> Result<bool, StoreError>;

    /// Records that a key was used at `at` (seconds since the Unix epoch). Never goes back.
    async fn touch_key(&self, id: &str, at: u64) -> Result<(), StoreError>;
}

/// A key that lets an agent post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The part before the dot, which names the key in lists and logs.
    pub id: String,
    /// SHA-256 of the whole key. The key has 256 random bits, so neither salt nor a slow hash is needed.
    pub hash: [u8; 32],
    /// Its owner.
    pub owner: String,
    /// When it was made: seconds since the Unix epoch.
    pub created: u64,
    /// When it was last used, to the minute; 0 if never.
    pub last_used: u64,
}
