//! Passwords of this server for other services: never printed, never logged.

use std::fmt;

/// A password, or a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a password)")
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Password {
    /// The password itself, for the service that asks for it.
    pub fn shown(&self) -> &str {
        &self.0
    }
}
