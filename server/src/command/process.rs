//! Logging and stopping, for the commands that run for long.

use anyhow::{Context, Result, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;
use tracing_subscriber::EnvFilter;

use crate::config::settings::Log;

/// Limits for libraries that log too much, or log what they send, passwords included. Their
/// failures are reported by us.
const LIBRARY_FILTERS: [&str; 4] = [
    "lapin=off",
    "amq_protocol=off",
    "async_rs=off",
    "scylla=warn",
];

/// Waits for SIGTERM or SIGINT.
pub(super) async fn asked_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(error) => {
                warn!(%error, "cannot wait for SIGTERM");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminate => {}
        result = tokio::signal::ctrl_c() => {
            if let Err(error) = result {
                warn!(%error, "cannot wait for SIGINT");
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Sends the log to standard error.
pub(super) fn log_to_stderr(settings: &Log) -> Result<()> {
    let mut filter = EnvFilter::try_new(&settings.filter)
        .with_context(|| format!("--log {:?} is not a filter", settings.filter))?;
    for directive in LIBRARY_FILTERS {
        filter = filter.add_directive(directive.parse().context("a built-in filter")?);
    }
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let set = match settings.json {
        true => log.json().try_init(),
        false => log.with_ansi(false).try_init(),
    };
    set.map_err(|error| anyhow!("cannot set up the log: {error}"))
}

/// Raises the limit of open files as far as it may be raised. Returns the limit.
pub(super) fn raise_descriptor_limit() -> usize {
    let found = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: found.maximum,
        ..found
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(error) => {
            warn!(%error, "cannot raise the limit of open files");
            found
        }
    };
    // No limit at all.
    let unlimited = usize::MAX;
    limit
        .current
        .map_or(unlimited, |n| usize::try_from(n).unwrap_or(unlimited))
}
