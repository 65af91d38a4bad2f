//! A server on a free port, within the process.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use bubble_server::auth::secret::Secret;
use bubble_server::http;
use bubble_server::http::state::{AppState, Limits};
use bubble_server::rollup::retention::Retention;
use bubble_server::store::Store;
use tokio::sync::watch;

/// The secret of the server's tokens.
pub(crate) fn secret() -> Result<Secret> {
    Ok(Secret::new("a secret that is long enough for this")?)
}

/// The real router over `store`: where it listens, and what serves it until it is dropped.
pub(crate) async fn listen(
    store: Arc<dyn Store>,
) -> Result<(SocketAddr, impl Future<Output = Result<()>> + Send)> {
    let (stop, stopped) = watch::channel(false);
    let (retention, limits) = (Retention::default(), Limits::default());
    let state = AppState::new(store, secret()?, retention, limits, stopped);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = async move {
        axum::serve(listener, http::app(state)).await?;
        drop(stop);
        Ok(())
    };
    Ok((address, serving))
}
