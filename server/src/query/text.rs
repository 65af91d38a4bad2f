//! Texts that many rows of an answer share.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::ser::{Serialize, Serializer};

/// A text. Copies share its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Arc<str>);

/// A command line. It is kept as it was measured, because single words take a multiple of its memory.
/// Copies share its memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(Arc<str>);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Words {
    /// The words of `args`, which are separated by zero bytes.
    pub(super) fn new(args: &str) -> Self {
        Self(args.into())
    }

    /// The words; none if nothing is known.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let is_known = !self.0.is_empty();
        self.0.split('\0').filter(move |_| is_known)
    }

    /// The words, separated by blanks.
    pub(super) fn joined(&self) -> String {
        self.0.replace('\0', " ")
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn words_are_written_one_by_one() {
        for (args, json) in [
            ("", "[]"),
            ("a", r#"["a"]"#),
            ("a\0\0b c\0", r#"["a","","b c",""]"#),
        ] {
            let words = Words::new(args);
            assert_eq!(serde_json::to_string(&words).expect("JSON"), json);
        }
        assert_eq!(Words::new("a\0b c").joined(), "a b c");
    }
}
