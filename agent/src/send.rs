//! Posts what waits in the spool, and removes it when the server has it.
//!
//! Any failure leaves the batch where it is, to be sent again: its segments' keys
//! make a second post harmless. Only a batch that the server will never take is
//! put aside, so that it does not block the others. The newest goes first now and
//! then, so that the page is live while a backlog is sent.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Notify;

use crate::spool::Spool;

/// Media type of an encoded batch.
const BATCH: &str = "application/vnd.bubble.batch";
/// Longest wait for a connection, and for an answer.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(20);
/// The first wait after a failure, and the longest.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);
/// The wait after the server refused the key: a person has to act.
const REFUSED: Duration = Duration::from_secs(15);
/// Of so many posts of a backlog one is the newest.
const NEWEST: u64 = 4;
/// So many failures one after the other (about ten minutes) end a delivery.
const PATIENCE: u32 = 80;

/// The spool, and the word that something was put into it.
#[derive(Debug)]
pub struct Queue {
    spool: Mutex<Spool>,
    news: Notify,
}

impl Queue {
    /// A queue over a spool.
    pub fn new(spool: Spool) -> Arc<Self> {
        Arc::new(Self {
            spool: Mutex::new(spool),
            news: Notify::new(),
        })
    }

    /// Does something with the spool.
    pub fn with<T>(&self, act: impl FnOnce(&mut Spool) -> T) -> T {
        // A panic elsewhere leaves the spool as a crash would, which it is made for.
        act(&mut self.spool.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says that something was put into the spool.
    pub fn announce(&self) {
        self.news.notify_one();
    }
}

/// Posts to one server.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    url: String,
    key: String,
}

/// What became of a post.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The server has it.
    Stored,
    /// Not now: try again, after this wait if the server named one.
    Later(String, Option<Duration>),
    /// The key is wrong.
    Key(String),
    /// Never: the server says why.
    Never(String),
}

impl Sender {
    /// A sender to the server at `url`, whose certificate may be signed by the authority in `ca`.
    ///
    /// # Errors
    /// When `ca` cannot be used.
    pub fn new(url: &str, key: &str, ca: Option<&Path>) -> Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("bubble-agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .tls_backend_preconfigured(tls(ca)?);
        Ok(Self {
            client: client.build().context("cannot make an HTTP client")?,
            url: format!("{url}/api/v1/batch"),
            key: key.to_owned(),
        })
    }

    /// The same, for batches that are part of the recording called `name`.
    ///
    /// # Errors
    /// When the server's URL is none.
    pub fn for_recording(&self, name: &str) -> Result<Self> {
        let mut url =
            Url::parse(&self.url).with_context(|| format!("{:?} is not a URL", self.url))?;
        url.query_pairs_mut().append_pair("recording", name);
        Ok(Self {
            client: self.client.clone(),
            url: url.into(),
            key: self.key.clone(),
        })
    }

    /// Posts one batch, as often as it takes.
    ///
    /// # Errors
    /// What is wrong, in a sentence: when the server refuses the batch or the key, or has not
    /// been there for about ten minutes.
    pub async fn deliver(&self, batch: &[u8]) -> Result<(), String> {
        let mut failures = 0;
        loop {
            let (why, wait) = match self.post(batch).await {
                Outcome::Later(why, wait) => (why, wait),
                outcome => return outcome.settled(),
            };
            if failures == 0 {
                tracing::warn!("cannot send to the server yet, and will go on trying: {why}");
            }
            if failures >= PATIENCE {
                return Err(why);
            }
            tokio::time::sleep(wait.unwrap_or_else(|| backoff(failures))).await;
            failures += 1;
        }
    }

    /// Sends what `queue` has, for ever.
    pub async fn run(&self, queue: &Queue) {
        let mut failures = 0;
        let mut turn = 0_u64;
        loop {
            turn += 1;
            let next = queue.with(|spool| spool.peek(turn.is_multiple_of(NEWEST)));
            let (id, bytes) = match next {
                Ok(Some(next)) => next,
                Ok(None) => {
                    queue.news.notified().await;
                    continue;
                }
                Err(error) => {
                    tracing::error!("a batch is lost: {error}");
                    continue;
                }
            };
            let wait = match self.post(&bytes).await {
                Outcome::Stored => {
                    if failures > 0 {
                        let left = queue.with(|spool| spool.segments());
                        tracing::info!(left, "the server takes batches again");
                    }
                    failures = 0;
                    queue.with(|spool| spool.done(id));
                    continue;
                }
                Outcome::Never(why) => {
                    tracing::error!("the server refused a batch for good, it is put aside: {why}");
                    queue.with(|spool| spool.reject(id, &bytes));
                    continue;
                }
                Outcome::Key(why) => {
                    if failures == 0 {
                        tracing::error!(
                            "the server does not take this API key; make one with `bubble-server key create`: {why}"
                        );
                    }
                    REFUSED
                }
                Outcome::Later(why, wait) => {
                    if failures == 0 {
                        tracing::warn!(
                            "cannot send to {}, so batches wait in the spool: {why}",
                            self.url
                        );
                    }
                    wait.unwrap_or_else(|| backoff(failures))
                }
            };
            failures += 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// Whether the server answers and takes the key: an empty batch, which changes nothing.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub async fn check(&self, batch: &[u8]) -> Result<(), String> {
        self.post(batch).await.settled()
    }

    async fn post(&self, batch: &[u8]) -> Outcome {
        let sent = self
            .client
            .post(&self.url)
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .header(CONTENT_TYPE, BATCH)
            .body(batch.to_vec())
            .send()
            .await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => return Outcome::Later(chain(&error), None),
        };
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.min(300)));
        let text = match response.text().await {
            Ok(text) => text,
            // Its answer was cut off: what it did is not known.
            Err(error) => return Outcome::Later(chain(&error), None),
        };
        judge(status, wait, &text)
    }
}

impl Outcome {
    /// When there is no other try.
    fn settled(self) -> Result<(), String> {
        match self {
            Self::Stored => Ok(()),
            Self::Later(why, _) | Self::Never(why) => Err(why),
            Self::Key(why) => Err(format!("{why}; make a key with `bubble-server key create`")),
        }
    }
}

/// TLS that trusts the public authorities, which are built in (an image FROM scratch has
/// none), and those in the file `ca`.
fn tls(ca: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = ca {
        let bad = || {
            format!(
                "{} has no certificate (PEM) that can be used",
                path.display()
            )
        };
        let pem = std::fs::read(path)
            .with_context(|| format!("cannot read the certificates {}", path.display()))?;
        let mut any = false;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| anyhow!("{error:?}"));
            roots
                .add(certificate.with_context(bad)?)
                .with_context(bad)?;
            any = true;
        }
        if !any {
            bail!(bad());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot prepare TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// What an answer means.
fn judge(status: StatusCode, wait: Option<Duration>, text: &str) -> Outcome {
    if status.is_success() {
        tell_refused(text);
        return Outcome::Stored;
    }
    let message = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|body| Some(body.get("message")?.as_str()?.to_owned()))
        .unwrap_or_default();
    let why = format!("{status} {message}").trim_end().to_owned();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Key(why),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Outcome::Later(why, wait),
        // Something else answers at this address, or nothing yet: no word on the batch.
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Outcome::Later(why, wait),
        _ if status.is_client_error() => Outcome::Never(why),
        _ => Outcome::Later(why, wait),
    }
}

/// A batch may be taken but for some of its segments: the user is told which, and why.
fn tell_refused(text: &str) {
    let body = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    for refused in body
        .get("refused")
        .and_then(|all| all.as_array())
        .into_iter()
        .flatten()
    {
        tracing::error!("the server refused a segment: {refused}");
    }
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

/// Exponential, with full jitter, so that a thousand agents do not come back as one.
fn backoff(failures: u32) -> Duration {
    let most = LONGEST.min(FIRST.saturating_mul(1 << failures.min(16)));
    most.mul_f64(rand::random_range(0.1..=1.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::{FIRST, LONGEST, Outcome, backoff, judge};

    #[test]
    fn an_answer_decides_what_becomes_of_a_batch() {
        let code = |number| StatusCode::from_u16(number).unwrap();
        assert_eq!(judge(code(200), None, "{}"), Outcome::Stored);
        assert!(matches!(judge(code(401), None, ""), Outcome::Key(_)));
        let wait = Some(Duration::from_secs(7));
        assert!(matches!(
            judge(code(429), wait, ""),
            Outcome::Later(_, Some(_))
        ));
        assert!(matches!(
            judge(code(503), None, ""),
            Outcome::Later(_, None)
        ));
        for number in [302, 404, 405, 408, 500] {
            let outcome = judge(code(number), None, "");
            assert!(matches!(outcome, Outcome::Later(..)), "{number}");
        }
        let text = r#"{"code":"malformed","message":"not a batch"}"#;
        let Outcome::Never(why) = judge(code(422), None, text) else {
            panic!("a batch that is malformed must not be sent again");
        };
        assert!(why.contains("not a batch"), "{why}");
    }

    #[test]
    fn waits_grow_and_end() {
        for failures in 0..64 {
            let wait = backoff(failures);
            assert!(wait > Duration::ZERO && wait <= LONGEST);
        }
        assert!(backoff(0) <= FIRST);
    }
}
