//! `serve`: the whole system in one process, on a store of its own or one that it shares.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use super::process::{asked_to_stop, log_to_stderr};
use crate::config::flags::Serve;
use crate::config::place::Place;
use crate::config::{Settings, legacy};
use crate::consul::Consul;
use crate::http::app;
use crate::http::state::AppState;
use crate::rollup::Rollup;
use crate::store::Store;
use crate::store::cassandra::Cassandra;
use crate::store::sqlite::Sqlite;

/// After so long a stop does not wait for requests any more.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(flags: &Serve) -> Result<()> {
    let settings = Settings::new(flags)?;
    log_to_stderr(&settings.log)?;
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for warning in legacy::warnings(names) {
        warn!("{warning}");
    }
    let (secret, made) = settings.base.secret()?;
    if let Some(path) = made {
        info!(path = %path.display(), "made a secret for tokens");
    }
    let store = open(&settings).await?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => anyhow!(
                "port {} is in use on {}: stop what listens there, or choose another with --listen",
                settings.listen.port(),
                settings.listen.ip()
            ),
            ErrorKind::PermissionDenied => anyhow!(
                "may not listen on {}: choose a port of 1024 or above with --listen, or run as root",
                settings.listen
            ),
            _ => anyhow!("cannot listen on {}: {error}", settings.listen),
        })?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let (stop, stopped) = watch::channel(false);
    let state = AppState {
        open: settings.auth_disable,
        ..AppState::new(
            Arc::clone(&store),
            secret,
            settings.retention,
            settings.limits,
            stopped.clone(),
        )
    };
    if state.open {
        warn!("tokens are not asked for: anyone who reaches {address} can read everything");
    }
    let rollup = Rollup::new(store, settings.retention, Arc::clone(&state.metrics));
    let rollup = rollup.by(settings.rollup);
    let rollup = tokio::spawn(rollup.serve(stopped.clone()));
    let (leave, left) = watch::channel(false);
    let registered = match settings.consul {
        Some(wanted) => tokio::spawn(Consul::new(wanted, address)?.serve(left)),
        None => tokio::spawn(async {}),
    };
    info!(%address, data = %settings.base.data.display(), store = %settings.base.store, "serving");

    let mut until = stopped.clone();
    let server = axum::serve(
        listener,
        app(state).into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move {
        // The sender is dropped only after this has ended.
        let _ = until.wait_for(|stop| *stop).await;
    })
    .into_future();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        served = &mut server => served.context("serving failed")?,
        () = asked_to_stop() => {
            info!("stopping");
            // First, while everything is still answered: nobody is sent here any more.
            leave.send_replace(true);
            registered.await.context("registration panicked")?;
            stop.send_replace(true);
            if tokio::time::timeout(PATIENCE, server).await.is_err() {
                warn!("some requests were not answered in time");
            }
        }
    }
    stop.send_replace(true);
    rollup.await.context("roll-up panicked")?;
    Ok(())
}

async fn open(settings: &Settings) -> Result<Arc<dyn Store>> {
    let base = &settings.base;
    Ok(match &base.store {
        Place::Sqlite => Arc::new(Sqlite::serve(&base.data, settings.durability)?),
        Place::Cassandra(address) => {
            Arc::new(Cassandra::open(address, base.consistency, settings.retention).await?)
        }
    })
}
