//! Tokens: JWT, HS256, audience `urn:cb/stat`, for one container or for an administrator.

use bubble_common::segment::ContainerId;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use crate::ingest::short_id;

/// The audience of our tokens, the same as that of the Python system.
pub const AUDIENCE: &str = "urn:cb/stat";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// For whom.
    pub aud: String,
    /// Until when: seconds since the Unix epoch.
    pub exp: u64,
    /// The one container that may be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Whether all may be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
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

/// Makes a token for `access` that is good until `expires` (seconds since the Unix epoch).
///
/// # Errors
/// When the library refuses, which it has no reason to.
pub fn create(secret: &Secret, access: &Access, expires: u64) -> Result<String, TokenError> {
    let claims = Claims {
        aud: AUDIENCE.to_owned(),
        exp: expires,
        container: match access {
            Access::Admin => None,
            Access::Container(id) => Some(id.as_str().to_owned()),
        },
        admin: *access == Access::Admin,
    };
    let key = EncodingKey::from_secret(secret.bytes());
    Ok(jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &key,
    )?)
}

/// What `token` allows, and until when; none when it is not a good one, and then why, for the log.
///
/// # Errors
/// When the token is not signed by `secret` with HS256, is for another audience,
/// has expired, or names no container and no administrator.
pub fn check(secret: &Secret, token: &str) -> Result<(Access, u64), String> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "aud"]);
    validation.leeway = 5;
    let key = DecodingKey::from_secret(secret.bytes());
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
        .map_err(|error| error.to_string())?
        .claims;
    let access = match claims {
        Claims { admin: true, .. } => Access::Admin,
        Claims {
            container: Some(id),
            ..
        } => Access::Container(
            short_id(&id).ok_or_else(|| "the claim container is no container id".to_owned())?,
        ),
        Claims { .. } => return Err("neither a container nor an administrator is named".to_owned()),
    };
    Ok((access, claims.exp))
}
