//! One post of a batch, and of its parts if it is too large.

use bubble_common::batch::Batch;
use bubble_common::segment::Segment;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, InvalidHeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Method, Request, Response, Url};

use super::Sender;
use super::answer::{Answer, Outcome, Receipt, Refusal, judge};
use super::transport::TransportError;

/// Media type of an encoded batch.
const BATCH: &str = "application/vnd.bubble.batch";
/// Header with the id of this boot, by which the server notices two agents of one host.
pub(super) const BOOT: &str = "x-bubble-boot";
/// Header of a post with seconds that the server may already have: no receipt came for them.
const REPEATED: &str = "x-bubble-repeated";
/// Maximum size of an answer. A receipt that refuses all segments of a batch is far smaller.
const MAX_ANSWER_BYTES: usize = 4 << 20;

impl Sender {
    /// Posts an encoded batch. If it is too large, its parts are posted one by one.
    /// `may_be_known`: the server may have some of it.
    pub(super) async fn post(&self, bytes: &[u8], segments: u64, may_be_known: bool) -> Outcome {
        let why = match self.post_once(bytes, segments, may_be_known).await {
            Outcome::TooLarge(why) => why,
            outcome => return outcome,
        };
        match Batch::decode(bytes) {
            Ok(batch) if batch.segments.len() > 1 => self.post_parts(batch, may_be_known).await,
            _ => Outcome::TooLarge(why),
        }
    }

    /// Posts a batch of several segments by halves, and those by halves again where needed.
    async fn post_parts(&self, batch: Batch, may_be_known: bool) -> Outcome {
        let mut receipt = Receipt::default();
        let mut too_large = None;
        let mut parts = Vec::from(halves(batch.segments));
        while let Some(segments) = parts.pop() {
            let part = Batch {
                source: batch.source,
                agent: batch.agent.clone(),
                segments,
            };
            let count = part.segments.len();
            let bytes = part.encode();
            match self.post_once(&bytes, count as u64, may_be_known).await {
                Outcome::Settled(more) => receipt.add(more),
                Outcome::TooLarge(_) if count > 1 => parts.extend(halves(part.segments)),
                Outcome::TooLarge(why) => too_large = Some(why),
                Outcome::Never(why) => {
                    let all = part.segments.iter();
                    receipt
                        .refused
                        .extend(all.map(|segment| Refusal::new(&segment.key, &why)));
                }
                outcome => return outcome,
            }
        }
        match too_large {
            Some(why) => Outcome::TooLarge(why),
            None => Outcome::Settled(receipt),
        }
    }

    async fn post_once(&self, batch: &[u8], segments: u64, may_be_known: bool) -> Outcome {
        let answered = async {
            let mut request = self.request(Method::POST, Url::parse(&self.url)?)?;
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(BATCH));
            if may_be_known {
                headers.insert(REPEATED, HeaderValue::from_static("1"));
            }
            *request.body_mut() = Some(batch.to_vec().into());
            // An answer that was cut off: the server may have stored the batch or not.
            read(self.transport.send(request).await?).await
        };
        match answered.await {
            Ok(Some(answer)) => judge(&answer, segments),
            Ok(None) => Outcome::Later("the answer is too long for a receipt".to_owned(), None),
            Err(error) => Outcome::Later(chain(&*error), None),
        }
    }

    /// A request with the key.
    pub(super) fn request(&self, method: Method, url: Url) -> Result<Request, InvalidHeaderValue> {
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, format!("Bearer {}", self.key).parse()?);
        headers.insert(BOOT, self.boot.parse()?);
        Ok(request)
    }
}

/// Reads an answer. `None` if it is too long.
pub(super) async fn read(mut response: Response) -> Result<Option<Answer>, TransportError> {
    let header = |name: HeaderName| {
        let value = response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (retry_after, location) = (header(RETRY_AFTER), header(LOCATION));
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(Answer {
        status,
        retry_after,
        location,
        body: String::from_utf8_lossy(&body).into_owned(),
    }))
}

/// Splits segments in two.
fn halves(mut segments: Vec<Segment>) -> [Vec<Segment>; 2] {
    let second = segments.split_off(segments.len() / 2);
    [segments, second]
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
