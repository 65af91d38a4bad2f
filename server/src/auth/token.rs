//! Tokens: JWT (RFC 7519, audience `urn:cb/stat`) for one container or for an administrator.
//!
//! Tokens are made with HS256. HS384 and HS512 are accepted too, because the Python system's
//! library took them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bubble_common::segment::ContainerId;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hmac;
use super::secret::Secret;
use crate::clock;

/// Whether a text can be the id of a token: otherwise its hash is.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The audience of our tokens, the same as that of the Python system.
pub const AUDIENCE: &str = "urn:cb/stat";

/// Difference between the clocks of servers that is tolerated, in seconds.
const LEEWAY: u64 = 5;

/// The claims of a new token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The audience.
    pub aud: String,
    /// Expiry, seconds since the Unix epoch.
    pub exp: u64,
    /// Id of the token, by which it can be revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The container that may be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Whether everything may be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
}

/// The claims of a presented token. The library checks `aud`, which may be a list.
#[derive(Debug, Deserialize)]
struct Presented {
    exp: Option<Date>,
    nbf: Option<Date>,
    #[serde(default)]
    jti: Option<String>,
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    admin: bool,
}

/// A NumericDate (RFC 7519, section 2), which may have a fraction: whole seconds since the Unix
/// epoch, 0 if it is earlier.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(from = "f64")]
struct Date(u64);

impl From<f64> for Date {
    fn from(seconds: f64) -> Self {
        // `as` saturates.
        Self(seconds.floor() as u64)
    }
}

/// A token that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valid {
    /// What it allows.
    pub access: Access,
    /// Expiry, seconds since the Unix epoch.
    pub expires: u64,
    /// Its id: the claim `jti`, or a part of its hash if others made it without one.
    pub id: String,
}

impl Valid {
    /// When no server accepts it any more: seconds since the Unix epoch.
    pub fn ends(&self) -> u64 {
        self.expires.saturating_add(LEEWAY + 1)
    }
}

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// To read everything.
    Admin,
    /// To read one container.
    Container(ContainerId),
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a token: {0}")]
pub struct TokenError(#[from] jsonwebtoken::errors::Error);

/// Makes a token for `access` that is valid until `expires` (seconds since the Unix epoch). Returns it
/// with its id.
///
/// # Errors
/// When the JWT library fails, for which there is no reason.
pub fn create(
    secret: &Secret,
    access: &Access,
    expires: u64,
) -> Result<(String, String), TokenError> {
    let id = hex::encode(rand::random::<[u8; 8]>());
    let claims = Claims {
        aud: AUDIENCE.to_owned(),
        exp: expires,
        jti: Some(id.clone()),
        container: match access {
            Access::Admin => None,
            Access::Container(id) => Some(id.as_str().to_owned()),
        },
        admin: *access == Access::Admin,
    };
    let key = EncodingKey::from_secret(secret.bytes());
    hmac::install();
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?;
    Ok((token, id))
}

/// Checks `token`, except whether it is revoked.
///
/// # Errors
/// When the token is not signed by `secret` with HS256, HS384 or HS512, is for another audience,
/// has expired, is not valid yet, requires an extension, or names neither a container nor an administrator. The reason is
/// for the log.
pub fn check(secret: &Secret, token: &str) -> Result<Valid, String> {
    if requires_extensions(token) {
        return Err("its header has crit: no extension is known here".to_owned());
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.algorithms = vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["aud"]);
    // The library would ignore dates of other types. They are checked below.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret.bytes());
    hmac::install();
    let claims = jsonwebtoken::decode::<Presented>(token, &key, &validation)
        .map_err(|error| error.to_string())?
        .claims;
    let now = clock::now();
    let Some(Date(expires)) = claims.exp else {
        return Err("the claim exp is missing".to_owned());
    };
    if expires.saturating_add(LEEWAY) < now {
        return Err(format!("it expired at {expires}"));
    }
    if let Some(Date(begins)) = claims.nbf
        && begins > now + LEEWAY
    {
        return Err(format!("it is not valid before {begins}"));
    }
    let id = claims.jti.clone().filter(|id| is_id(id));
    let access = match claims {
        Presented { admin: true, .. } => Access::Admin,
        Presented {
            container: Some(id),
            ..
        } => Access::Container(
            ContainerId::new(&id)
                .map_err(|_| "the claim container is not a container id".to_owned())?,
        ),
        Presented { .. } => {
            return Err("neither a container nor an administrator is named".to_owned());
        }
    };
    Ok(Valid {
        access,
        expires,
        id: id.unwrap_or_else(|| id_of(token)),
    })
}

/// The id of a token without one.
fn id_of(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    format!("hash-{}", hex::encode(&digest[..8]))
}

/// Whether the header has `crit` (RFC 7515, section 4.1.11), which the library ignores.
fn requires_extensions(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap_or_default();
    header.get("crit").is_some()
}
