//! Tokens: JWT (RFC 7519, audience `urn:cb/stat`) for one container, for an administrator, or for a
//! shared link.
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
use crate::span::extent::Extent;

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
    /// What a shared link shows. It is not the claim `container`, so a server that does not know links
    /// refuses the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkClaim>,
}

/// What a shared link shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkClaim {
    /// The container.
    pub container: String,
    /// Start of the range, seconds since the Unix epoch; without it and `to` the whole life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// End of the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Id of the token that the link ends with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl LinkClaim {
    fn new(link: &Link) -> Self {
        Self {
            container: link.container.as_str().to_owned(),
            from: link.extent.span().map(|span| span.start),
            to: link.extent.span().map(|span| span.end),
            by: link.by.clone(),
        }
    }

    fn check(self) -> Result<Link, Refusal> {
        let container = ContainerId::new(&self.container)
            .map_err(|_| invalid("the claim link has no container id"))?;
        let extent = match (self.from, self.to) {
            (None, None) => Extent::Life,
            (Some(from), Some(to)) if from < to => Extent::Span(from..to),
            _ => return Err(invalid("the claim link has no valid range")),
        };
        Ok(Link {
            container,
            extent,
            by: self.by,
        })
    }
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
    #[serde(default)]
    link: Option<LinkClaim>,
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

/// Whether a text has the form of a token: three parts, the first of which is JSON in Base64.
pub fn has_form(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
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
    /// To see what a link shows.
    Link(Link),
}

/// What a shared link shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The container.
    pub container: ContainerId,
    /// The part of its life.
    pub extent: Extent,
    /// Id of the token by which it was made, if the link ends with it.
    pub by: Option<String>,
}

/// Why a token is refused. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not a valid token.
    #[error("{0}")]
    Invalid(String),
    /// It is a link that we signed, and its time is over.
    #[error("the link expired at {0}")]
    LinkExpired(u64),
}

fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::Invalid(reason.into())
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
            Access::Admin | Access::Link(_) => None,
            Access::Container(id) => Some(id.as_str().to_owned()),
        },
        admin: *access == Access::Admin,
        link: match access {
            Access::Admin | Access::Container(_) => None,
            Access::Link(link) => Some(LinkClaim::new(link)),
        },
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
/// has expired, is not valid yet, requires an extension, or names neither a container nor an administrator.
pub fn check(secret: &Secret, token: &str) -> Result<Valid, Refusal> {
    if requires_extensions(token) {
        return Err(invalid("its header has crit: no extension is known here"));
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
        .map_err(|error| invalid(error.to_string()))?
        .claims;
    let now = clock::now();
    let Some(Date(expires)) = claims.exp else {
        return Err(invalid("the claim exp is missing"));
    };
    if expires.saturating_add(LEEWAY) < now {
        return Err(match claims.link {
            Some(_) => Refusal::LinkExpired(expires),
            None => invalid(format!("it expired at {expires}")),
        });
    }
    if let Some(Date(begins)) = claims.nbf
        && begins > now + LEEWAY
    {
        return Err(invalid(format!("it is not valid before {begins}")));
    }
    let id = claims.jti.clone().filter(|id| is_id(id));
    let access = match claims {
        // The narrowest comes first.
        Presented {
            link: Some(link), ..
        } => Access::Link(link.check()?),
        Presented { admin: true, .. } => Access::Admin,
        Presented {
            container: Some(id),
            ..
        } => Access::Container(
            ContainerId::new(&id)
                .map_err(|_| invalid("the claim container is not a container id"))?,
        ),
        Presented { .. } => {
            return Err(invalid("neither a container nor an administrator is named"));
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
