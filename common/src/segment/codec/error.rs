//! Why bytes are not a segment or a batch. A closed list: the server maps each to an answer.

/// Why bytes could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They do not begin as such bytes do.
    #[error("these bytes are not a {expected}: they do not begin with its four magic bytes")]
    Unrecognised {
        /// What was expected: `segment` or `batch`.
        expected: &'static str,
    },
    /// A later version wrote them.
    #[error(
        "format version {found} is not known here, only versions up to {known}: \
         upgrade the reader, or use an older writer"
    )]
    UnsupportedVersion {
        /// The version in the bytes.
        found: u8,
        /// The newest that this reader knows.
        known: u8,
    },
    /// They end too early.
    #[error("the bytes end in the middle of {0}")]
    Truncated(&'static str),
    /// Decoded they would be larger than what is allowed for that many bytes.
    #[error("decoded it would take more than the {limit} bytes of memory that are allowed")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// They contradict the format.
    #[error("the bytes are damaged: {0}")]
    Corrupt(&'static str),
}
