//! Periods as people write them: `90s`, `5m`, `1h`, `2d`.

use std::str::FromStr;

use serde::Deserialize;

/// A period in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Period(pub u64);

/// Text that is not a period.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a period: write a number and s, m, h or d, as in 90s, 1h, 2d")]
pub struct InvalidPeriod(String);

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let invalid = || InvalidPeriod(text.to_owned());
        let unit = match text.chars().last().ok_or_else(invalid)? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(invalid()),
        };
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| invalid())?;
        let seconds = number.checked_mul(unit).filter(|seconds| *seconds > 0);
        seconds.map(Self).ok_or_else(invalid)
    }
}

impl TryFrom<String> for Period {
    type Error = InvalidPeriod;

    fn try_from(text: String) -> Result<Self, InvalidPeriod> {
        text.parse()
    }
}
