//! A server on a free port, in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use bubble_server::auth::secret::Secret;
use bubble_server::http;
use bubble_server::http::state::{AppState, Limits};
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use tokio::sync::watch;

/// The secret that signs the server's tokens.
pub(crate) fn secret() -> Result<Secret> {
    Ok(Secret::new("a secret that is long enough for this")?)
}

/// Serves the real router over `store`. Returns its address, and a future that serves while it is polled.
pub(crate) async fn listen(
    store: Arc<dyn Store>,
) -> Result<(SocketAddr, impl Future<Output = Result<()>> + Send)> {
    let (stop, stopped) = watch::channel(false);
    let (retention, limits) = (Retention::default(), Limits::default());
    let state = AppState::new(store, secret()?, retention, limits, stopped);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = async move {
        http::serve(listener, state).await;
        drop(stop);
        Ok(())
    };
    Ok((address, serving))
}
