//! `serve`: the whole system in one process, on its own store or on one that servers share.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::process::{asked_to_stop, log_to_stderr, raise_descriptor_limit};
use crate::config::legacy;
use crate::config::settings::{SHORT_SECRET, Serve};
use crate::config::store::StoreSetting;
use crate::consul::{self, Consul};
use crate::http;
use crate::http::state::{AppState, Limits};
use crate::rollup::Rollup;
use crate::span::retention::Retention;
use crate::store::Store;
use crate::store::cassandra::Cassandra;
use crate::store::sqlite::Sqlite;

/// Time for open requests to finish at a stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Descriptors that are not for connections: the database with its readers, other servers, and
/// connections that are about to close.
const RESERVED_DESCRIPTORS: usize = 160;

pub(super) async fn run(settings: &Serve) -> Result<()> {
    let retention = settings.retention()?;
    log_to_stderr(&settings.log)?;
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for warning in legacy::warnings(names) {
        warn!("{warning}");
    }
    let (secret, made) = settings.common.secret()?;
    if let Some(path) = made {
        info!(path = %path.display(), "made a secret for tokens");
    }
    if secret.is_short() {
        warn!("{SHORT_SECRET}");
    }
    let store = open(settings, retention).await?;
    let listener = listen(settings.listen).await?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let (stop, stopped) = watch::channel(false);
    let mut state = AppState {
        open: settings.auth_disable,
        base: settings.base.clone(),
        legacy_slots: settings.legacy_slots,
        ..AppState::new(
            Arc::clone(&store),
            secret,
            retention,
            within_descriptors(settings.limits()),
            stopped.clone(),
        )
    };
    state.readers.folder.clone_from(&settings.common.data);
    if state.open {
        warn!("tokens are not checked: anyone who reaches {address} can read everything");
    }
    let rollup = Rollup::new(store, retention, Arc::clone(&state.metrics)).packer(settings.rollup);
    let rollup = tokio::spawn(rollup.serve(stopped));
    let registration = Registration::new(settings.consul(), address)?;
    info!(%address, data = %settings.common.data.display(), store = %settings.common.store, "serving");
    serve_until_stopped(listener, state, registration, &stop).await?;
    stop.send_replace(true);
    rollup.await.context("roll-up panicked")?;
    Ok(())
}

/// The limits, with no more connections than the limit of descriptors allows.
fn within_descriptors(limits: Limits) -> Limits {
    let descriptors = raise_descriptor_limit();
    let allowed = descriptors.saturating_sub(RESERVED_DESCRIPTORS).max(1);
    let connections = limits.connections.min(allowed);
    if connections < limits.connections {
        warn!(
            "only {connections} connections at a time, as this process may open {descriptors} files: \
             raise its limit (LimitNOFILE of systemd, --ulimit nofile of Docker)"
        );
    }
    Limits {
        connections,
        connections_per_network: limits.connections_per_network.min(connections),
        ..limits
    }
}

/// Serves until a signal comes, then finishes the open requests.
async fn serve_until_stopped(
    listener: TcpListener,
    state: AppState,
    registration: Registration,
    stop: &watch::Sender<bool>,
) -> Result<()> {
    let mut server = std::pin::pin!(http::serve(listener, state));
    tokio::select! {
        () = &mut server => bail!("serving ended unasked"),
        () = asked_to_stop() => {
            info!("stopping");
            // While requests are still answered, so that Consul sends nobody to a closed port.
            registration.end().await?;
            stop.send_replace(true);
            if tokio::time::timeout(SHUTDOWN_GRACE, server).await.is_err() {
                warn!("some requests were not answered in time");
            }
        }
    }
    Ok(())
}

/// The task that keeps this server registered with Consul, if it is to be.
struct Registration {
    leave: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Registration {
    fn new(wanted: Option<consul::Wanted>, address: SocketAddr) -> Result<Self> {
        let (leave, left) = watch::channel(false);
        let task = match wanted {
            Some(wanted) => tokio::spawn(Consul::new(wanted, address)?.serve(left)),
            None => tokio::spawn(async {}),
        };
        Ok(Self { leave, task })
    }

    async fn end(self) -> Result<()> {
        self.leave.send_replace(true);
        self.task.await.context("registration panicked")
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "port {} is in use on {}: stop what listens there, or choose another with --listen",
            address.port(),
            address.ip()
        ),
        ErrorKind::PermissionDenied => anyhow!(
            "may not listen on {address}: choose a port of 1024 or above with --listen, or run as root"
        ),
        _ => anyhow!("cannot listen on {address}: {error}"),
    })
}

async fn open(settings: &Serve, retention: Retention) -> Result<Arc<dyn Store>> {
    let common = &settings.common;
    Ok(match &common.store {
        StoreSetting::Sqlite => Arc::new(Sqlite::serve(&common.data, settings.durability)?),
        StoreSetting::Cassandra(address) => {
            Arc::new(Cassandra::open(address, common.consistency, retention).await?)
        }
    })
}
