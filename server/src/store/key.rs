//! API keys, as they are stored: never the key itself.

/// A key with which an agent may post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The part before the dot: names the key in lists and logs.
    pub id: String,
    /// SHA-256 of the whole key. It has 256 random bits, so it needs no salt nor a slow hash.
    pub hash: [u8; 32],
    /// Whom it was made for.
    pub owner: String,
    /// When it was made: seconds since the Unix epoch.
    pub created: u64,
    /// When it was last used, to the minute; 0 when it never was.
    pub last_used: u64,
}
