//! What the answer to a post means.
//!
//! Only a receipt settles a batch: the server's JSON that accounts for every segment sent. Any other
//! program may answer at the server's address with any status, so nothing else removes data.

use std::time::{Duration, SystemTime};

use bubble_common::segment::Key;
use reqwest::StatusCode;
use serde::Deserialize;

use crate::printable::printable;

/// Maximum delay that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
/// Maximum number of characters of a foreign answer in a message.
const MAX_QUOTE: usize = 80;

/// An answer, read completely.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The header Retry-After.
    pub(super) retry_after: Option<String>,
    /// The header Location.
    pub(super) location: Option<String>,
    pub(super) body: String,
}

/// Outcome of a post; texts give the reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server accounts for every segment.
    Settled(Receipt),
    /// A failure that may pass: try again, after this delay if the server named one.
    Later(String, Option<Duration>),
    /// A failure that may pass, of this batch only: others need not wait for it.
    Defer(String),
    /// The body is too large for the server, or for a proxy before it.
    TooLarge(String),
    /// The server refuses the key.
    Key(String),
    /// The server will never take any segment of the batch.
    Never(String),
}

/// What became of the segments of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub(super) struct Receipt {
    stored: u64,
    known: u64,
    /// Segments that are not stored.
    pub(super) refused: Vec<Refusal>,
    /// The server's clock, seconds since the Unix epoch. Older servers do not say.
    #[serde(default)]
    pub(super) time: Option<u64>,
}

/// A segment that is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Refusal {
    pub(super) container: String,
    pub(super) start: u64,
    pub(super) resolution: String,
    pub(super) reason: String,
    /// Whether a later post may be taken. Older servers do not say.
    #[serde(default)]
    later: Option<bool>,
}

impl Refusal {
    /// The refusal of a segment for good.
    pub(super) fn new(key: &Key, reason: &str) -> Self {
        Self {
            container: key.container.as_str().to_owned(),
            start: key.start,
            resolution: key.resolution.name().to_owned(),
            reason: reason.to_owned(),
            later: Some(false),
        }
    }

    /// Whether the server may take the segment later.
    fn is_temporary(&self) -> bool {
        // Older servers have two reasons. One passes, as it depends on a clock.
        self.later
            .unwrap_or_else(|| self.reason.contains("in the future"))
    }
}

impl Receipt {
    /// Adds the receipt for another part of the same batch.
    pub(super) fn add(&mut self, other: Self) {
        self.stored = self.stored.saturating_add(other.stored);
        self.known = self.known.saturating_add(other.known);
        self.refused.extend(other.refused);
        self.time = other.time.or(self.time);
    }

    /// Number of segments that it accounts for.
    fn segments(&self) -> u64 {
        [self.known, self.refused.len() as u64]
            .into_iter()
            .fold(self.stored, u64::saturating_add)
    }
}

/// An error of bubble-server.
#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    code: String,
    #[serde(default)]
    message: String,
}

/// Derives the outcome from the answer to a batch of `segments` segments.
pub(super) fn judge(answer: &Answer, segments: u64) -> Outcome {
    let status = answer.status;
    if status.is_success() {
        return judge_receipt(answer, segments);
    }
    if status.is_redirection() {
        let to = answer.location.as_deref().unwrap_or("nowhere");
        return Outcome::Later(
            format!(
                "{status}: redirected to {}, which is not followed; give bubble-server's own URL with --server",
                quote(to)
            ),
            None,
        );
    }
    let error: Option<ErrorBody> = serde_json::from_str(&answer.body).ok();
    let ErrorBody { code, message } = error.unwrap_or_default();
    let why = format!("{status} {}", printable(&message));
    let why = why.trim_end().to_owned();
    let delay = answer.retry_after.as_deref().and_then(retry_after);
    match (status, code.as_str()) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Outcome::Key(why),
        (StatusCode::PAYLOAD_TOO_LARGE, _) => Outcome::TooLarge(why),
        // Only bubble-server itself can refuse a batch for good. A server that does not know the
        // format of the batch may be upgraded.
        (_, "malformed" | "bad_request" | "unsupported_media_type") if status.is_client_error() => {
            Outcome::Never(why)
        }
        _ => Outcome::Later(why, delay),
    }
}

/// The outcome of an answer with a status of success.
fn judge_receipt(answer: &Answer, segments: u64) -> Outcome {
    let Ok(receipt) = serde_json::from_str::<Receipt>(&answer.body) else {
        return Outcome::Later(
            format!(
                "{} without a receipt of bubble-server: is another program at this URL? It answers {}",
                answer.status,
                quote(&answer.body)
            ),
            None,
        );
    };
    let accounted = receipt.segments();
    if accounted != segments {
        return Outcome::Later(
            format!("the receipt accounts for {accounted} segments of {segments}"),
            None,
        );
    }
    match receipt.refused.iter().find(|it| it.is_temporary()) {
        Some(refusal) => Outcome::Defer(format!(
            "a segment of {} is not taken now: {}",
            quote(&refusal.container),
            printable(&refusal.reason)
        )),
        None => Outcome::Settled(receipt),
    }
}

/// The beginning of a text, escaped.
fn quote(text: &str) -> String {
    let cut: String = text.chars().take(MAX_QUOTE).collect();
    format!("{cut:?}")
}

/// The delay that a header Retry-After names: in seconds, or until a date (RFC 9110, 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let delay = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO),
    };
    Some(delay.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use reqwest::StatusCode;

    use super::{Answer, MAX_RETRY_AFTER, Outcome, judge, retry_after};

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.to_owned(),
            ..Answer::default()
        }
    }

    fn later(outcome: Outcome) -> String {
        let Outcome::Later(why, _) = outcome else {
            panic!("not to be sent again later: {outcome:?}");
        };
        why
    }

    #[test]
    fn only_a_receipt_for_every_segment_settles() {
        let receipt = |text: &str| judge(&answer(200, text), 3);
        for text in [
            r#"{"stored":2,"known":1,"refused":[]}"#,
            r#"{"stored":3,"known":0,"refused":[],"time":7,"more":"of a newer server"}"#,
            r#"{"stored":2,"known":0,"refused":[{"container":"c","start":5,"resolution":"second","reason":"r"}]}"#,
        ] {
            assert!(matches!(receipt(text), Outcome::Settled(_)), "{text}");
        }
        for text in [
            "",
            "{}",
            "<html>It works!</html>",
            r#"{"stored":3}"#,
            r#"{"stored":3,"known":-1,"refused":[]}"#,
            r#"{"stored":"3","known":0,"refused":[]}"#,
            r#"{"stored":3,"known":0,"refused":[{}]}"#,
        ] {
            assert!(later(receipt(text)).contains("without a receipt"), "{text}");
        }
        for text in [
            r#"{"stored":2,"known":0,"refused":[]}"#,
            r#"{"stored":4,"known":0,"refused":[]}"#,
            r#"{"stored":18446744073709551615,"known":4,"refused":[]}"#,
        ] {
            assert!(later(receipt(text)).contains("accounts for"), "{text}");
        }
        later(judge(&answer(204, ""), 3));
        later(judge(&answer(204, ""), 0));
    }

    #[test]
    fn a_refusal_that_may_pass_defers_the_batch() {
        let refused = |more: &str| {
            let text = format!(
                r#"{{"stored":0,"known":0,"refused":[{{"container":"c","start":5,"resolution":"second",{more}}}]}}"#
            );
            judge(&answer(200, &text), 1)
        };
        // An older server says only the reason.
        let future = r#""reason":"it ends 7200 s in the future: set the clock""#;
        assert!(matches!(refused(future), Outcome::Defer(_)));
        let stated = r#""reason":"r","later":true"#;
        assert!(matches!(refused(stated), Outcome::Defer(_)));
        let for_good = r#""reason":"never in the future","later":false"#;
        assert!(matches!(refused(for_good), Outcome::Settled(_)));
    }

    #[test]
    fn only_an_error_of_bubble_server_is_for_good() {
        for status in [400, 404, 405, 408, 410, 415, 418, 422, 429, 500, 502, 503] {
            later(judge(&answer(status, "<html>proxy</html>"), 1));
        }
        let body = |code| format!(r#"{{"code":"{code}","message":"not a batch"}}"#);
        let Outcome::Never(why) = judge(&answer(422, &body("malformed")), 1) else {
            panic!("a malformed batch must not be sent again");
        };
        assert!(why.contains("not a batch"), "{why}");
        later(judge(&answer(415, &body("unsupported_version")), 1));
        later(judge(&answer(500, &body("internal")), 1));
        for status in [401, 403] {
            let outcome = judge(&answer(status, ""), 1);
            assert!(matches!(outcome, Outcome::Key(_)));
        }
        let outcome = judge(&answer(413, ""), 1);
        assert!(matches!(outcome, Outcome::TooLarge(_)));
    }

    #[test]
    fn a_foreign_message_is_one_short_line() {
        let text = "a\\nERROR ".repeat(1_000);
        for (status, code) in [(401, ""), (413, ""), (422, "malformed"), (500, "internal")] {
            let body = format!(r#"{{"code":"{code}","message":"{text}"}}"#);
            let (Outcome::Key(why)
            | Outcome::TooLarge(why)
            | Outcome::Never(why)
            | Outcome::Later(why, _)) = judge(&answer(status, &body), 1)
            else {
                panic!("no failure");
            };
            assert!(!why.contains('\n') && why.len() < 600, "{why}");
        }
        let body = format!(
            r#"{{"stored":0,"known":0,"refused":[{{"container":"c","start":5,"resolution":"second","reason":"{text}","later":true}}]}}"#
        );
        let Outcome::Defer(why) = judge(&answer(200, &body), 1) else {
            panic!("not deferred");
        };
        assert!(!why.contains('\n') && why.len() < 600, "{why}");
    }

    #[test]
    fn a_redirect_is_named() {
        let mut answer = answer(302, "");
        answer.location = Some("http://login/\n".to_owned());
        let why = later(judge(&answer, 1));
        assert!(
            why.contains(r#"redirected to "http://login/\n""#) && why.contains("--server"),
            "{why}"
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(retry_after("soon"), None);
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(past), Some(Duration::ZERO));
        let far = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(86_400));
        assert_eq!(retry_after(&far), Some(MAX_RETRY_AFTER));
        let near = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(200));
        let delay = retry_after(&near).unwrap();
        assert!(
            delay > Duration::ZERO && delay < MAX_RETRY_AFTER,
            "{delay:?}"
        );
        let mut answer = answer(503, "");
        answer.retry_after = Some("7".to_owned());
        let outcome = judge(&answer, 1);
        assert!(matches!(outcome, Outcome::Later(_, Some(delay)) if delay.as_secs() == 7));
    }
}
