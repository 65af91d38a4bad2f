//! The answer to a post.

use serde::Serialize;

/// Result of a batch. It accounts for every segment: each is stored, known or refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Receipt {
    /// Segments that were new, and are stored now.
    pub stored: u64,
    /// Segments that were stored before; they count once.
    pub known: u64,
    /// Segments that are not stored.
    pub refused: Vec<Refusal>,
    /// The server's clock, seconds since the Unix epoch.
    pub time: u64,
}

/// A segment that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Refusal {
    /// Its container.
    pub container: String,
    /// Start of its span, seconds since the Unix epoch.
    pub start: u64,
    /// Its resolution.
    pub resolution: &'static str,
    /// Kind of the reason.
    pub code: RefusalCode,
    /// Why.
    pub reason: String,
    /// Whether the same segment may be taken later, such as when a clock is set right. If not, it is
    /// refused for good.
    pub later: bool,
}

/// Kind of a reason: a closed list, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The container or the source belongs to another owner of keys.
    OtherOwner,
    /// The container was first reported by another host.
    OtherHost,
    /// The source cannot have this segment.
    OtherSource,
    /// It ends in the future.
    Future,
    /// It is too old to be live.
    Past,
    /// Too many bodies about one second.
    TooMany,
}

/// Why a segment is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// It belongs to another owner of keys.
    OtherOwner,
    /// Another host reported the container first.
    OtherHost {
        /// That host.
        host: String,
    },
    /// Live data has the source of a recording, or the other way round.
    OtherSource,
    /// Its source stands for sums.
    SourceOfSums,
    /// A recording has one source.
    SourceOfBatch,
    /// It ends so many seconds in the future.
    Future(u64),
    /// It is so many seconds old.
    Past(u64),
    /// Too many bodies about one second.
    TooMany,
}

impl Reason {
    pub(super) fn code(&self) -> RefusalCode {
        match self {
            Self::OtherOwner => RefusalCode::OtherOwner,
            Self::OtherHost { .. } => RefusalCode::OtherHost,
            Self::OtherSource | Self::SourceOfSums | Self::SourceOfBatch => {
                RefusalCode::OtherSource
            }
            Self::Future(_) => RefusalCode::Future,
            Self::Past(_) => RefusalCode::Past,
            Self::TooMany => RefusalCode::TooMany,
        }
    }

    /// Whether the segment may be taken later. A wrong clock may be set right.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Future(_) | Self::Past(_))
    }

    /// What to tell the sender.
    pub(super) fn text(&self) -> String {
        match self {
            Self::OtherOwner => {
                "it belongs to the keys of another owner: post it with a key of that \
                 owner, or free the container with `bubble-server container release ID`"
                    .to_owned()
            }
            Self::OtherHost { host } => format!(
                "host {host:?} reported the container first: if it has moved or the host has a new \
                 name, free it with `bubble-server container release`"
            ),
            Self::OtherSource => {
                "a source is either live or a recording: post this under another source".to_owned()
            }
            Self::SourceOfSums => {
                "a source of zeros stands for sums and is never stored".to_owned()
            }
            Self::SourceOfBatch => {
                "a recording's segments have the source of its batches".to_owned()
            }
            // Agents of version 0.1 find "in the future" in the text, as they lack the field `later`.
            Self::Future(ahead) => format!(
                "it ends {ahead} s in the future: set the clock of its host, or of this server"
            ),
            Self::Past(age) => format!(
                "it ended {age} s ago, too long to be live: set the clock of its host, or of this \
                 server, or post it as a recording"
            ),
            Self::TooMany => "too many different bodies for this second".to_owned(),
        }
    }
}
