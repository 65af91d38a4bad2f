//! What identifies a segment: container, resolution, start and source.

use std::fmt;

use super::resolution::Resolution;

/// Identity of a stored segment. Storing a key again replaces what it held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The container.
    pub container: ContainerId,
    /// Length of a slot.
    pub resolution: Resolution,
    /// Start of the first slot: seconds since the Unix epoch, a multiple of the resolution.
    pub start: u64,
    /// The run of the agent that measured it.
    pub source: SourceId,
}

/// The name of a container, unique over all hosts and for all time.
///
/// Docker, Podman, containerd and CRI-O use 64 hexadecimal digits. The first 12
/// of them are the name, as in `docker ps`, sysdig and the tokens of the
/// Python system. For other runtimes it is `NAME@HOST` (`cron.service@node7`).
/// 1 to 255 bytes of printable ASCII without `/`, `?`, `#`, `%` or white space.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(Box<str>);

/// A container id that is empty, too long, or has a forbidden character.
#[derive(Debug, thiserror::Error)]
#[error(
    "container id {0:?} is not 1 to 255 printable ASCII characters without / ? # % or white space"
)]
pub struct InvalidContainerId(pub String);

impl ContainerId {
    /// Maximum length of an id, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Checks `text` and takes it unchanged.
    ///
    /// # Errors
    /// If `text` breaks the rule above.
    pub fn new(text: &str) -> Result<Self, InvalidContainerId> {
        let ok = (1..=Self::MAX_LEN).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"/?#%".contains(&b));
        if ok {
            Ok(Self(text.into()))
        } else {
            Err(InvalidContainerId(text.to_owned()))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One run of one agent on one host, or one recording: 128 random bits.
///
/// An agent that restarts is a new source, so it never writes under a key of
/// its former run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub [u8; 16]);

impl SourceId {
    /// The source of a sum over several sources. Never stored.
    pub const SUM: Self = Self([0; 16]);
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
