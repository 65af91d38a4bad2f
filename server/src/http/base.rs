//! The path below which a reverse proxy shows the server, such as `/bubble`.
//!
//! A proxy may forward this path or strip it, and agents may reach the server without it: a request with
//! it and one without are the same. It is removed before routing, so routes, limits and the scope of shared
//! links see one form of a path.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Longest base path in bytes.
const MAX_LENGTH: usize = 256;

/// The path below which a reverse proxy shows the server; empty if it is at the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(Arc<str>);

/// Text that is not a base path.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a base path: expected / or segments of letters, digits and -._~, as /bubble or /tools/bubble"
)]
pub struct InvalidBasePath(String);

impl BasePath {
    /// Removes this path from the start of a request's path.
    pub(super) fn strip(&self, uri: &mut Uri) {
        let Some(rest) = uri
            .path_and_query()
            .and_then(|path| path.as_str().strip_prefix(&*self.0))
        else {
            return;
        };
        let rest = match rest.as_bytes().first() {
            // At the root, and a longer first segment such as /bubbles.
            Some(b'/') if self.0.is_empty() => return,
            Some(b'/') => rest.to_owned(),
            Some(b'?') | None => format!("/{rest}"),
            Some(_) => return,
        };
        let mut parts = std::mem::take(uri).into_parts();
        // The rest of a path is one, too.
        parts.path_and_query = PathAndQuery::from_maybe_shared(rest).ok();
        *uri = Uri::from_parts(parts).unwrap_or_default();
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BasePath {
    type Err = InvalidBasePath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let is_known = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let is_segment =
            |part: &str| !["", ".", ".."].contains(&part) && part.bytes().all(is_known);
        let is_path = match path.strip_prefix('/') {
            Some(segments) => segments.split('/').all(is_segment),
            None => path.is_empty(),
        };
        match is_path && path.len() <= MAX_LENGTH {
            true => Ok(Self(path.into())),
            false => Err(InvalidBasePath(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::BasePath;

    #[test]
    fn a_request_with_the_base_path_and_one_without_are_the_same() {
        for (base, from, to) in [
            ("/bubble", "/bubble/c/1?t=2", "/c/1?t=2"),
            ("/bubble/", "/bubble", "/"),
            ("/bubble", "/bubble?x=1", "/?x=1"),
            ("/bubble", "/c/1", "/c/1"),
            ("/bubble", "/bubbles/1", "/bubbles/1"),
            ("/a/b", "/a/b/", "/"),
            ("/a/b", "/a/c", "/a/c"),
            ("/", "/c/1", "/c/1"),
            ("", "/", "/"),
        ] {
            let base: BasePath = base.parse().expect("a base path");
            let mut uri: Uri = from.parse().expect("a path");
            base.strip(&mut uri);
            assert_eq!(uri.to_string(), to, "{base} {from}");
        }
    }

    #[test]
    fn what_could_leave_an_attribute_is_refused() {
        for text in [
            "bubble", "//", "/a//b", "/..", "/a/../b", "/\"x", "/a b", "/%2f",
        ] {
            assert!(text.parse::<BasePath>().is_err(), "{text}");
        }
        assert!(format!("/{}", "a".repeat(300)).parse::<BasePath>().is_err());
    }
}
