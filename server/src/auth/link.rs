//! Shared links: tokens that show one container, or a range of its life, to anyone who has them.
//!
//! They are noted beside the other tokens, so that they can be listed and revoked.

use bubble_common::segment::ContainerId;

use super::secret::Secret;
use super::token::{Access, Link, TokenError, create};
use crate::clock;
use crate::span::extent::Extent;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::token::IssuedToken;

/// Days until a link expires, at most.
pub const MAX_DAYS: u64 = 30;

/// A link that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeLink {
    /// As it is listed.
    pub issued: IssuedToken,
    /// The token, which is stored nowhere.
    pub token: String,
    /// Path and fragment that open it on the page.
    pub path: String,
}

/// Why a link was not made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The store does not know it, so it could not be revoked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be signed.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Makes a link that is valid until `expires` (seconds since the Unix epoch), and notes it.
///
/// # Errors
/// When the store fails.
pub async fn make(
    store: &dyn Store,
    secret: &Secret,
    link: Link,
    expires: u64,
) -> Result<MadeLink, LinkError> {
    let Link {
        container, extent, ..
    } = link.clone();
    let (token, id) = create(secret, &Access::Link(link), expires)?;
    let issued = IssuedToken {
        id,
        container: container.as_str().to_owned(),
        created: clock::now(),
        expires,
        revoked: false,
        shared: Some(extent.clone()),
    };
    store.put_token(issued.clone()).await?;
    let path = path(&container, &extent, &token);
    Ok(MadeLink {
        issued,
        token,
        path,
    })
}

/// The links that have not expired, newest first.
///
/// # Errors
/// When the store fails.
pub async fn list(store: &dyn Store) -> Result<Vec<IssuedToken>, StoreError> {
    let mut links = store.tokens(clock::now()).await?;
    links.retain(|token| token.shared.is_some());
    links.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    Ok(links)
}

/// A link by its id, unless it has expired.
///
/// # Errors
/// When the store fails.
pub async fn find(store: &dyn Store, id: &str) -> Result<Option<IssuedToken>, StoreError> {
    Ok(list(store).await?.into_iter().find(|link| link.id == id))
}

/// `/c/ID?from=…&to=…#token=…`. Ids have no character that ends a path.
fn path(container: &ContainerId, extent: &Extent, token: &str) -> String {
    let range = match extent.span() {
        Some(span) => format!("?from={}&to={}", span.start, span.end),
        None => String::new(),
    };
    format!("/c/{}{range}#token={token}", escaped(container.as_str()))
}

/// As one segment of a path (RFC 3986, section 3.3).
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-._~@:".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::ContainerId;

    use super::path;
    use crate::span::extent::Extent;

    #[test]
    fn a_link_has_its_token_in_the_fragment() {
        let id = |text| ContainerId::new(text).expect("an id");
        let of = |text, extent: &Extent| path(&id(text), extent, "a.b.c");
        assert_eq!(
            of("5961688fa2f4", &Extent::Span(60..120)),
            "/c/5961688fa2f4?from=60&to=120#token=a.b.c"
        );
        assert_eq!(
            of("a\"b@node7", &Extent::Life),
            "/c/a%22b@node7#token=a.b.c"
        );
    }
}
