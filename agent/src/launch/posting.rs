//! Posts a run to a server while it is counted, through a spool of its own.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bubble_common::batch::AgentReport;
use bubble_common::segment::ContainerId;
use bubble_common::segment::loss::Reason;
use tokio::runtime::Runtime;

use crate::attention::Attention;
use crate::batcher::{Batcher, Closed};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::send;
use crate::send::delivery::Delivery;
use crate::spool::Spool;
use crate::spool::queue::Queue;

/// Time for the server to take the last seconds.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Time for the sending threads to end after that.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);
/// Interval at which the end checks whether all is sent.
const DRAIN_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The folder of a spool, which is removed unless something waits in it.
#[derive(Debug)]
struct SpoolFolder {
    path: PathBuf,
    is_retained: bool,
}

impl Drop for SpoolFolder {
    fn drop(&mut self) {
        if !self.is_retained {
            // It may be gone already.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Posts a run.
#[derive(Debug)]
pub(super) struct Posting {
    /// Where the page of the run is.
    url: String,
    folder: SpoolFolder,
    batcher: Batcher,
    queue: Arc<Queue>,
    runtime: Runtime,
}

/// What became of the posts.
#[derive(Debug)]
pub(super) struct Posted {
    /// Where the page of the run is.
    pub(super) url: String,
    /// What the server did not take, if anything.
    pub(super) problem: Option<String>,
}

impl Posting {
    /// Begins to post the run `id`, if there is a server.
    ///
    /// # Errors
    /// When a setting is missing, or the spool cannot be made.
    pub(super) fn start(config: &Config, id: &ContainerId) -> Result<Option<Self>> {
        if config.server.is_none() {
            return Ok(None);
        }
        let (server, sender) = send::sender(config)?;
        // The spool of the host's agent has its own seconds, and it alone may use it.
        let folder = std::env::temp_dir().join(format!("bubble-{id}"));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let folder = SpoolFolder {
            path: folder,
            is_retained: false,
        };
        let queue = Queue::new(Spool::open(&folder.path, config.spool_max)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("cannot start the threads that send")?;
        let metrics = Metrics::default();
        // It does not ask what is looked at, so each second is delivered at once.
        let attention = Attention::new(config.deliver_every);
        let delivery = Delivery::new(
            sender,
            Arc::clone(&queue),
            metrics.clone(),
            attention.clone(),
        );
        runtime.spawn(delivery.run());
        Ok(Some(Self {
            url: format!("{server}/c/{id}"),
            folder,
            batcher: Batcher {
                queue: Arc::clone(&queue),
                attention,
                report: AgentReport::default(),
                metrics,
                disk_failed: false,
                news: BTreeMap::new(),
            },
            queue,
            runtime,
        }))
    }

    /// Sets what is reported of the agent with each batch. It names no host: this is not the agent that
    /// counts there.
    pub(super) fn with_report(mut self, report: &AgentReport) -> Self {
        self.batcher.report = AgentReport {
            host: String::new(),
            ..report.clone()
        };
        self
    }

    /// Spools seconds.
    pub(super) fn put(&mut self, closed: Closed) {
        self.batcher.spool(closed);
    }

    /// Waits for a while until the server has all.
    pub(super) fn finish(mut self) -> Posted {
        let queue = &self.queue;
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        while queue.with(|spool| spool.batches()) > 0 && Instant::now() < deadline {
            thread::sleep(DRAIN_POLL_INTERVAL);
        }
        self.runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
        let (left, undelivered) = queue.with(|spool| {
            spool.close();
            (spool.segments(), spool.undelivered().all())
        });
        self.folder.is_retained = left > 0;
        let folder = self.folder.path.display();
        let mut problems = Vec::new();
        if left > 0 {
            problems.push(format!(
                "{left} seconds could not be posted, and wait in {folder}: an agent with --spool {folder} posts them"
            ));
        }
        for ((_, reason), seconds) in undelivered {
            problems.push(match reason {
                Reason::REFUSED => format!("the server refused {seconds} seconds"),
                Reason::SPOOL_FULL => format!(
                    "{seconds} seconds are lost: while the server was away, {folder} became full"
                ),
                reason => format!("{seconds} seconds are lost: {}", reason.name()),
            });
        }
        Posted {
            url: self.url,
            problem: (!problems.is_empty()).then(|| problems.join("; ")),
        }
    }
}
