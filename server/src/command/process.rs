//! What every command that goes on for long does: it logs, and it ends when it is asked to.

use anyhow::{Context, Result, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;
use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// Libraries that talk much, or would log all that they send, passwords too. What fails in them
/// is an error of ours.
const QUIET: [&str; 4] = [
    "lapin=off",
    "amq_protocol=off",
    "async_rs=off",
    "scylla=warn",
];

/// Returns when someone wants the program to stop.
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

/// Sets up the log.
pub(super) fn log_to_stderr(settings: &Log) -> Result<()> {
    let mut filter = EnvFilter::try_new(&settings.filter)
        .with_context(|| format!("--log {:?} is not a filter", settings.filter))?;
    for quiet in QUIET {
        filter = filter.add_directive(quiet.parse().context("a filter of our own")?);
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
