//! Posts the batches in the spool, and removes each when the server has accounted for it.
//!
//! After a failure the batch stays and is sent again. The server then looks for what it has already. Segments that the server refuses for good are set aside, so that they do not block the
//! others, and become a loss in the data. Every few posts the newest batch goes first, so that the
//! page is live while a backlog is sent.

mod answer;
pub mod delivery;
mod merge;
mod post;
mod tls;
pub mod transport;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use bubble_common::batch::Batch;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use self::answer::{Outcome, Receipt};
use self::transport::Transport;
use crate::config::Config;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// Delay after the first failure, and the maximum; in between it doubles.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(250);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(15);
/// Delay after the server refused the key: a person has to act.
const REFUSED_KEY_DELAY: Duration = Duration::from_secs(15);
/// Delay of a batch that the server does not take now, while it takes others.
const DEFER_DELAY: Duration = Duration::from_secs(30);
/// Interval of looking for deferred batches while no others arrive.
const DEFERRED_POLL_INTERVAL: Duration = Duration::from_secs(5);
/// One in so many posts of a backlog is the newest batch.
const NEWEST_EVERY: u64 = 4;
/// A delivery ends after so many failures in a row: about ten minutes.
const MAX_ATTEMPTS: u32 = 80;
/// Lag of the server's clock at which it refuses what this host counts now.
const MAX_CLOCK_LAG: Duration = Duration::from_secs(3_600);

/// The server's URL, and a sender to it.
///
/// # Errors
/// When a setting is missing or invalid.
pub fn sender(config: &Config) -> Result<(&str, Sender)> {
    let server = config
        .server
        .as_deref()
        .context("where is bubble-server? give its URL with --server, or as BUBBLE_SERVER")?;
    let key = config.api.as_deref().context(
        "the server wants an API key: make one with `bubble-server key create`, and give it with --api, or as BUBBLE_API",
    )?;
    Ok((server, Sender::new(server, key, config.ca.as_deref())?))
}

/// Posts to one server.
#[derive(Debug, Clone)]
pub struct Sender {
    transport: Arc<dyn Transport>,
    /// URL of the server.
    server: String,
    /// URL to post to.
    url: String,
    key: String,
    /// Id of this boot; empty if the kernel does not say.
    boot: String,
}

impl Sender {
    /// A sender to the server at `url`. It trusts the authorities in the file `ca` too.
    ///
    /// # Errors
    /// When `ca` cannot be used.
    pub fn new(url: &str, key: &str, ca: Option<&Path>) -> Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("bubble-agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(RESPONSE_TIMEOUT)
            // A redirected post would become a GET, whose answer says nothing about the batch.
            .redirect(Policy::none())
            .tls_backend_preconfigured(tls::config(ca)?);
        let client = client.build().context("cannot make an HTTP client")?;
        Ok(Self::over(Arc::new(client), url, key))
    }

    /// A sender to the server at `url`, by another transport than HTTP over the network.
    pub fn over(transport: Arc<dyn Transport>, url: &str, key: &str) -> Self {
        Self {
            transport,
            server: url.to_owned(),
            url: format!("{url}/api/v1/batch"),
            key: key.to_owned(),
            boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
                .map(|id| id.trim().to_owned())
                .unwrap_or_default(),
        }
    }

    /// A sender of batches that belong to the recording called `name`.
    ///
    /// # Errors
    /// When the server's URL is invalid.
    pub fn for_recording(&self, name: &str) -> Result<Self> {
        let mut url =
            Url::parse(&self.url).with_context(|| format!("{:?} is not a URL", self.url))?;
        url.query_pairs_mut().append_pair("recording", name);
        Ok(Self {
            transport: Arc::clone(&self.transport),
            server: self.server.clone(),
            url: url.into(),
            key: self.key.clone(),
            boot: self.boot.clone(),
        })
    }

    /// Posts one batch, with retries.
    ///
    /// # Errors
    /// The reason in a sentence, when the server refuses the batch, a segment of it or the key, or
    /// cannot be reached for about ten minutes.
    pub async fn deliver(&self, batch: &Batch) -> Result<(), String> {
        let bytes = batch.encode();
        let mut failures = 0;
        loop {
            let (why, delay) = match self
                .post(&bytes, batch.segments.len() as u64, failures > 0)
                .await
            {
                Outcome::Later(why, delay) => (why, delay),
                outcome => return accepted(outcome).map(|_| ()),
            };
            if failures == 0 {
                tracing::warn!("cannot send to the server, retrying: {why}");
            }
            if failures >= MAX_ATTEMPTS {
                return Err(why);
            }
            tokio::time::sleep(delay.unwrap_or_else(|| retry_delay(failures, rand::random())))
                .await;
            failures += 1;
        }
    }

    /// Checks that the server answers, takes the key, and agrees on the time, by an empty batch, which
    /// changes nothing.
    ///
    /// # Errors
    /// The reason, in a sentence.
    pub async fn check(&self, batch: &Batch) -> Result<(), String> {
        let segments = batch.segments.len() as u64;
        let receipt = accepted(self.post(&batch.encode(), segments, false).await)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let lag = receipt.time.map_or(0, |time| now.saturating_sub(time));
        if lag > MAX_CLOCK_LAG.as_secs() {
            return Err(format!(
                "its clock is {lag} s behind the clock of this host: set the wrong one of the two"
            ));
        }
        Ok(())
    }
}

/// The receipt, if nothing is refused and there is no other attempt.
fn accepted(outcome: Outcome) -> Result<Receipt, String> {
    match outcome {
        Outcome::Settled(receipt) => match receipt.refused.first() {
            Some(refusal) => Err(refusal.reason.clone()),
            None => Ok(receipt),
        },
        Outcome::Later(why, _)
        | Outcome::Never(why)
        | Outcome::Defer(why)
        | Outcome::TooLarge(why) => Err(why),
        Outcome::Key(why) => Err(format!("{why}; make a key with `bubble-server key create`")),
    }
}

/// Exponential, with jitter: a thousand agents must not retry at the same moment.
/// `jitter` is random, from 0 to 1.
fn retry_delay(failures: u32, jitter: f64) -> Duration {
    let max = MAX_RETRY_DELAY.min(MIN_RETRY_DELAY.saturating_mul(1 << failures.min(16)));
    max.mul_f64(0.1 + 0.9 * jitter)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, retry_delay};

    #[test]
    fn retry_delays_are_bounded() {
        for failures in 0..64 {
            for jitter in [0.0, 0.5, 1.0] {
                let delay = retry_delay(failures, jitter);
                assert!(delay > Duration::ZERO && delay <= MAX_RETRY_DELAY);
            }
        }
        assert!(retry_delay(0, 1.0) <= MIN_RETRY_DELAY);
    }
}
