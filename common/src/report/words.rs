//! Numbers, times and untrusted names as text for a person.

use time::OffsetDateTime;
use time::macros::format_description;

/// Most characters of a name.
const MAX_NAME: usize = 60;

/// Whether a letter does not show itself: a control character, or one that changes the direction of the text
/// around it (Unicode, UAX #9).
fn is_invisible(letter: char) -> bool {
    let directions = ['\u{61c}', '\u{200e}', '\u{200f}'];
    letter.is_control()
        || directions.contains(&letter)
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Untrusted text, made fit for a terminal: no control characters, not too long.
pub fn clean(text: &str) -> String {
    let mut shown = text
        .chars()
        .map(|letter| if is_invisible(letter) { '·' } else { letter });
    let mut clean: String = shown.by_ref().take(MAX_NAME).collect();
    if shown.next().is_some() {
        clean.pop();
        clean.push('…');
    }
    clean
}

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `17 B`, `1.5 KiB`.
pub fn bytes(number: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = number as f64;
    let mut unit = "B";
    for next in units {
        if value < 1_024.0 {
            break;
        }
        value /= 1_024.0;
        unit = next;
    }
    match unit {
        "B" => format!("{number} B"),
        _ if value < 10.0 => format!("{value:.2} {unit}"),
        _ => format!("{value:.1} {unit}"),
    }
}

/// `12.3 s`, `1.23 ms`, `3 h 25 min`.
pub fn seconds(ns: u64) -> String {
    let value = ns as f64 / 1e9;
    match ns {
        0 => "0".to_owned(),
        1..1_000_000 => format!("{:.1} µs", value * 1e6),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value * 1e3),
        1_000_000_000..120_000_000_000 => format!("{value:.2} s"),
        120_000_000_000..7_200_000_000_000 => format!("{:.1} min", value / 60.0),
        _ => format!(
            "{} h {} min",
            ns / 3_600_000_000_000,
            ns / 60_000_000_000 % 60
        ),
    }
}

/// `0.5 %`, `12 %`: to two digits.
pub fn percent(value: f64) -> String {
    match value {
        0.0 => "0 %".to_owned(),
        value if value.abs() < 9.95 => format!("{value:.1} %"),
        value => format!("{value:.0} %"),
    }
}

/// `3.66`, `32`: at most two digits after the point, without zeros at the end.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A time in seconds since the Unix epoch, in ns.
pub fn ns(at: f64) -> u64 {
    // Within a microsecond, which is as exact as such a number is.
    ((at * 1e6).round() as u64).saturating_mul(1_000)
}

/// The day and the time of day of `at` (ns since the Unix epoch) in UTC.
pub fn day(at: u64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    written(at, |time| time.format(format))
}

/// The time of day, to the millisecond.
pub fn moment(at: u64) -> String {
    let format = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    written(at, |time| time.format(format))
}

/// The time of day, to the second.
pub fn second(at: u64) -> String {
    let format = format_description!("[hour]:[minute]:[second]");
    written(at, |time| time.format(format))
}

fn written(
    at: u64,
    format: impl Fn(OffsetDateTime) -> Result<String, time::error::Format>,
) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at)).ok();
    let text = time.and_then(|time| format(time).ok());
    text.unwrap_or_else(|| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::{bytes, clean, count, day, moment, number, percent, second, seconds};

    #[test]
    fn numbers_are_made_to_be_read() {
        assert_eq!(
            [0, 999, 1_000, 12_345_678].map(count),
            ["0", "999", "1,000", "12,345,678"]
        );
        assert_eq!(
            [0, 1_023, 1_536, 20 << 20].map(bytes),
            ["0 B", "1023 B", "1.50 KiB", "20.0 MiB"]
        );
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        let ns = [
            0,
            1_500,
            2_500_000,
            12_345_000_000,
            600_000_000_000,
            12_300_000_000_000,
        ];
        let texts = ["0", "1.5 µs", "2.5 ms", "12.35 s", "10.0 min", "3 h 25 min"];
        assert_eq!(ns.map(seconds), texts);
        assert_eq!(
            [0.0, 0.04, 9.94, 12.5].map(percent),
            ["0 %", "0.0 %", "9.9 %", "12 %"]
        );
        assert_eq!([32.0, 0.5, 3.666].map(number), ["32", "0.5", "3.67"]);
    }

    #[test]
    fn times_are_those_of_utc() {
        assert_eq!(day(1_506_127_469_900_617_765), "2017-09-23 00:44:29");
        assert_eq!(moment(1_506_127_469_900_617_765), "00:44:29.900");
        assert_eq!(second(1_506_127_469_900_617_765), "00:44:29");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\n"), "a·[2Jb·");
        // They would reverse the text that follows.
        assert_eq!(clean("a\u{202e}b\u{2066}c\u{200f}"), "a·b·c·");
        assert_eq!(clean(&"x".repeat(100)).chars().count(), 60);
    }
}
