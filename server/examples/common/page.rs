//! Time of requests, until the last byte of the body.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::common::print;

/// Requests of one kind.
pub(crate) struct Page<'a> {
    pub(crate) bench: &'a str,
    pub(crate) case: &'a str,
    pub(crate) variant: &'a str,
    /// Requested in turn, as different people do.
    pub(crate) urls: Vec<String>,
    /// An administrator's token.
    pub(crate) token: &'a str,
    pub(crate) encoding: &'a str,
    /// Number of requests.
    pub(crate) rounds: usize,
}

impl Page<'_> {
    /// Sends them, and prints median, 99th percentile and the size of the last answer.
    pub(crate) async fn measure(&self) -> Result<()> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let mut times = Vec::new();
        let mut size = 0;
        for url in self.urls.iter().cycle().take(self.rounds) {
            let began = Instant::now();
            let request = client
                .get(url)
                .bearer_auth(self.token)
                .header("accept-encoding", self.encoding);
            let answer = request.send().await?;
            ensure!(answer.status().is_success(), "{url}: {}", answer.status());
            size = answer.bytes().await?.len();
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        let print = |what: &str, value: f64, unit: &str| {
            print(
                self.bench,
                self.case,
                &format!("{}-{what}", self.variant),
                value,
                unit,
            );
        };
        print("p50", at(0.5), "ms");
        print("p99", at(0.99), "ms");
        print("size", size as f64 / 1e3, "kB");
        Ok(())
    }
}
