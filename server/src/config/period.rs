//! Periods as people write them: `90s`, `5m`, `1h`, `2d`.

use std::fmt;
use std::str::FromStr;

/// Units, the longest first, in seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A period in whole seconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub u64);

/// Text that is not a period.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a period: write a number and s, m, h or d, as in 90s, 1h, 2d")]
pub struct InvalidPeriod(String);

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let seconds = || {
            let (_, unit) = UNITS.into_iter().find(|(name, _)| text.ends_with(*name))?;
            let number: u64 = text[..text.len() - 1].parse().ok()?;
            number.checked_mul(unit).filter(|seconds| *seconds > 0)
        };
        seconds()
            .map(Self)
            .ok_or_else(|| InvalidPeriod(text.to_owned()))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, unit): &(char, u64)| self.0.is_multiple_of(*unit);
        let (name, unit) = UNITS.into_iter().find(whole).unwrap_or(('s', 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::Period;

    #[test]
    fn a_period_is_written_as_it_is_read() {
        for text in ["1s", "90s", "5m", "1h", "25h", "2d", "120d"] {
            let period: Period = text.parse().expect("a period");
            assert_eq!(period.to_string(), text);
        }
        for wrong in [
            "",
            "s",
            "5",
            "0s",
            "-1s",
            "1.5h",
            "1w",
            "1 h",
            "5ä",
            "99999999999999999999d",
        ] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }
}
