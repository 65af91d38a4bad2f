//! API keys, stored as hashes: `ID.SECRET`, shown once, or any text that hosts have already.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::key::ApiKey;

/// Seconds between two writes of when a key was last used.
const TOUCH_INTERVAL: u64 = 60;

/// Bytes of an existing key at most.
const MAX_EXISTING: usize = 512;
/// Bytes below which an existing key can be guessed.
const MIN_UNGUESSABLE: usize = 16;

/// A text that cannot be a key.
#[derive(Debug, thiserror::Error)]
#[error(
    "a key must be 1 to {MAX_EXISTING} visible ASCII characters without `/`, `?`, `#` and `%`, \
     so that it fits into the URL of a chisel"
)]
pub struct InvalidKey;

/// Makes a key for `owner`. Returns its text, which is not stored, and the record to store.
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

/// The record of a key for `owner` that hosts have already, such as one of the Python system.
///
/// # Errors
/// When `text` cannot be a key.
pub fn existing(text: &str, owner: &str, now: u64) -> Result<ApiKey, InvalidKey> {
    let fits = |b: u8| b.is_ascii_graphic() && !b"/?#%".contains(&b);
    if !(1..=MAX_EXISTING).contains(&text.len()) || !text.bytes().all(fits) {
        return Err(InvalidKey);
    }
    Ok(ApiKey {
        hash: hash(text),
        id: id_of(text),
        owner: owner.to_owned(),
        created: now,
        last_used: 0,
    })
}

/// Whether an existing key is so short that it can be guessed.
pub fn is_short(text: &str) -> bool {
    text.len() < MIN_UNGUESSABLE
}

/// The id of the key with this text. A key that this program made begins with it; that of any
/// other key is a part of its hash.
pub fn id_of(text: &str) -> String {
    let own = text.split_once('.').filter(|(id, secret)| {
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        id.len() == 8
            && id.bytes().all(lower_hex)
            && URL_SAFE_NO_PAD.decode(secret).is_ok_and(|s| s.len() == 32)
    });
    match own {
        Some((id, _)) => id.to_owned(),
        None => {
            let digest = Sha256::digest([b"id of an API key\0", text.as_bytes()].concat());
            format!("old-{}", hex::encode(&digest[..6]))
        }
    }
}

/// Finds the key with this text. Asks the store each time, so that a deleted key is invalid at once.
///
/// # Errors
/// When the store fails.
pub async fn check(store: &dyn Store, text: &str, now: u64) -> Result<Option<ApiKey>, StoreError> {
    if text.len() > MAX_EXISTING {
        return Ok(None);
    }
    let id = id_of(text);
    let key = store.key(&id).await?;
    let Some(key) = key.filter(|key| bool::from(key.hash.ct_eq(&hash(text)))) else {
        return Ok(None);
    };
    if now >= key.last_used + TOUCH_INTERVAL {
        store.touch_key(&id, now).await?;
    }
    Ok(Some(key))
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
