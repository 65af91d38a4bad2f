//! Follows what somebody looks at on the server, by a request that the server answers when that
//! changes, or after some time (a long poll).
//!
//! | answer | what the agent does |
//! |---|---|
//! | a list of containers | delivers these each second, the rest once per interval |
//! | no list: an older server, or another program | delivers everything each second |
//! | a failure that may pass | delivers once per interval, if the server has given a list before |

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::post::read;
use super::{REFUSED_KEY_DELAY, Sender, retry_delay};
use crate::attention::{Attention, Names};

/// Longest time until an answer is complete. A server answers within half of it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(50);
/// Shortest interval of requests, whatever answers.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// Delay before an older server is asked again: it may have been upgraded.
const OLD_SERVER_DELAY: Duration = Duration::from_secs(60);

/// The answer of the server.
#[derive(Debug, Deserialize)]
struct Watched {
    /// Identifies the list: the next request has it, and is answered when it is another.
    version: String,
    /// The containers of this host that somebody looks at.
    containers: Names,
}

/// What an answer means.
#[derive(Debug)]
enum Answered {
    List(Watched),
    /// The server gives no list.
    Never,
    /// The key is refused.
    Key,
    /// It may give one later.
    Later,
}

impl Sender {
    /// Follows what is looked at of `host`, for ever.
    pub async fn watch(&self, host: &str, attention: &Attention) {
        let mut version = None;
        let mut failures = 0;
        loop {
            let asked = Instant::now();
            let answered = self.ask_watched(host, version.as_deref()).await;
            let delay = match answered {
                Answered::List(list) => {
                    failures = 0;
                    if version.as_ref() != Some(&list.version) || !attention.is_known() {
                        attention.set_watched(Some(list.containers));
                    }
                    version = Some(list.version);
                    MIN_INTERVAL.saturating_sub(asked.elapsed())
                }
                Answered::Never => {
                    version = None;
                    attention.set_watched(None);
                    OLD_SERVER_DELAY.mul_f64(rand::random_range(0.5..=1.0))
                }
                Answered::Key | Answered::Later => {
                    version = None;
                    // Posts fail as well, or the server has no place for this request.
                    if attention.is_known() {
                        attention.set_watched(Some(Names::new()));
                    }
                    failures += 1;
                    match answered {
                        Answered::Key => REFUSED_KEY_DELAY,
                        _ => retry_delay(failures, rand::random()),
                    }
                }
            };
            tokio::time::sleep(delay).await;
        }
    }

    async fn ask_watched(&self, host: &str, version: Option<&str>) -> Answered {
        let Ok(mut url) = Url::parse(&format!("{}/api/v1/watch", self.server)) else {
            return Answered::Never;
        };
        url.query_pairs_mut().append_pair("host", host);
        if let Some(version) = version {
            url.query_pairs_mut().append_pair("version", version);
        }
        let asked = async {
            let mut request = self.request(Method::GET, url)?;
            *request.timeout_mut() = Some(ANSWER_TIMEOUT);
            read(self.transport.send(request).await?).await
        };
        let answer = match asked.await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Answered::Never,
            Err(error) => {
                tracing::debug!("cannot ask what is looked at: {error}");
                return Answered::Later;
            }
        };
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Answered::Key,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Answered::Later,
            status if status.is_server_error() => Answered::Later,
            StatusCode::OK => match serde_json::from_str(&answer.body) {
                Ok(list) => Answered::List(list),
                Err(_) => Answered::Never,
            },
            _ => Answered::Never,
        }
    }
}
