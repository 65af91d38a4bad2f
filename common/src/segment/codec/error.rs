//! Errors of decoding. The list is closed: the server maps each to an answer.

/// Why bytes could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The magic bytes are wrong.
    #[error("not a {expected}: the bytes do not begin with its four magic bytes")]
    Unrecognised {
        /// `segment` or `batch`.
        expected: &'static str,
    },
    /// A later version wrote the bytes.
    #[error(
        "unknown format version {found}, expected at most {known}: \
         upgrade the reader, or use an older writer"
    )]
    UnsupportedVersion {
        /// The version in the bytes.
        found: u8,
        /// The newest version that this reader knows.
        known: u8,
    },
    /// A later version wrote the bytes, with columns that this one does not know.
    #[error(
        "the {part} have {found} columns, expected at most {known}: a newer version wrote them; \
         upgrade the reader, or use an older writer"
    )]
    UnsupportedColumns {
        /// The table or dictionary.
        part: &'static str,
        /// Number of columns in the bytes.
        found: u64,
        /// Number of columns that this reader knows.
        known: usize,
    },
    /// The bytes end too early.
    #[error("the bytes end in the middle of {0}")]
    Truncated(&'static str),
    /// Decoding would exceed the memory limit for that many bytes.
    #[error("decoding would take more than the allowed {limit} bytes of memory")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The bytes contradict the format.
    #[error("the bytes are damaged: {0}")]
    Corrupt(&'static str),
}
