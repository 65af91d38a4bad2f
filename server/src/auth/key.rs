//! API keys: `ID.SECRET`, shown once, stored as a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::key::ApiKey;

/// The use of a key is noted at most once in so many seconds.
const NOTED_EACH: u64 = 60;

/// Makes a key for `owner`. Returns it as text, which is nowhere stored, and as it is stored.
pub fn create(owner: &str, now: u64) -> (String, ApiKey) {
    let mut random = [0_u8; 36];
    rand::rng().fill_bytes(&mut random);
    let (id, secret) = random.split_at(4);
    let id = hex::encode(id);
    let text = format!("{id}.{}", URL_SAFE_NO_PAD.encode(secret));
    let key = ApiKey {
        hash: hash(&text),
        id,
        owner: owner.to_owned(),
        created: now,
        last_used: 0,
    };
    (text, key)
}

/// The stored key that `text` is, if it is one. Asks the store each time, so that a deleted key is void at once.
///
/// # Errors
/// When the store fails.
pub async fn check(store: &dyn Store, text: &str, now: u64) -> Result<Option<ApiKey>, StoreError> {
    let Some((id, _)) = text.split_once('.').filter(|(id, _)| id.len() <= 64) else {
        return Ok(None);
    };
    let key = store.key(id).await?;
    let Some(key) = key.filter(|key| bool::from(key.hash.ct_eq(&hash(text)))) else {
        return Ok(None);
    };
    if now >= key.last_used + NOTED_EACH {
        store.touch_key(id, now).await?;
    }
    Ok(Some(key))
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
