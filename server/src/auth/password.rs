//! What this server shows to others to be let in: never printed, in no log.

use std::fmt;

/// A password, or a token.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
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
    /// The password itself: for whom it is meant.
    pub fn shown(&self) -> &str {
        &self.0
    }
}
