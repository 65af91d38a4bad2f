//! The part of a container's life that a shared link shows.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Bounds of a shared range are whole minutes: when its seconds have expired, its minutes remain.
const UNIT: u64 = 60;

/// The part of a container's life that a shared link shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All of it, also what comes while the link is valid.
    Life,
    /// From the start to the end, in seconds since the Unix epoch.
    Span(Range<u64>),
}

/// Text that is not an extent.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an extent: expected life, or FROM-TO in seconds since the Unix epoch")]
pub struct InvalidExtent(String);

impl Extent {
    /// The shortest extent of whole minutes that has the time from `from` to `to`; `None` if there is
    /// no such time.
    pub fn around(from: u64, to: u64) -> Option<Self> {
        let end = to.checked_next_multiple_of(UNIT)?;
        (from < to).then_some(Self::Span(from - from % UNIT..end))
    }

    /// The range, if it is not the whole life.
    pub fn span(&self) -> Option<&Range<u64>> {
        match self {
            Self::Life => None,
            Self::Span(span) => Some(span),
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Life => f.write_str("life"),
            Self::Span(span) => write!(f, "{}-{}", span.start, span.end),
        }
    }
}

impl FromStr for Extent {
    type Err = InvalidExtent;

    fn from_str(text: &str) -> Result<Self, InvalidExtent> {
        if text == "life" {
            return Ok(Self::Life);
        }
        let span = || {
            let (from, to) = text.split_once('-')?;
            let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
            (from < to).then_some(Self::Span(from..to))
        };
        span().ok_or_else(|| InvalidExtent(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Extent;

    #[test]
    fn an_extent_is_read_as_it_is_written() {
        for extent in [Extent::Life, Extent::Span(60..120)] {
            let read: Extent = extent.to_string().parse().expect("an extent");
            assert_eq!(read, extent);
        }
        for wrong in ["", "60", "60-", "-60", "120-60", "60-60", "a-b", "lives"] {
            assert!(wrong.parse::<Extent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_becomes_whole_minutes() {
        assert_eq!(Extent::around(61, 119), Some(Extent::Span(60..120)));
        assert_eq!(Extent::around(60, 120), Some(Extent::Span(60..120)));
        assert_eq!(Extent::around(59, 121), Some(Extent::Span(0..180)));
        assert_eq!(Extent::around(60, 60), None);
        assert_eq!(Extent::around(0, u64::MAX), None);
    }
}
