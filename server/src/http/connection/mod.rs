//! Connections: accepts them, bounds their number and their idle time, and serves the router on each.
//!
//! | bound | what happens |
//! |---|---|
//! | no complete header within [`HEADER_TIMEOUT`] of connecting | closed |
//! | no next header within [`IDLE_TIMEOUT`] of an answer | closed |
//! | the client reads nothing for [`SEND_TIMEOUT`] | closed by the kernel |
//! | more connections than [`Limits`] allows, of one network or in all | the one that has waited longest for a header gives way |
//!
//! `axum::serve` sets none of these: it gives hyper no timer. A connection with a request in
//! progress never gives way. If all of them have one, a new connection is closed at once.

mod permits;

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use permits::{Busy, Permit, Permits};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::base::BasePath;
use super::observe::Kept;
use super::state::Limits;
use crate::metrics::Metrics;

/// Longest time from connecting to the end of the first request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest time between an answer and the next request's header. Proxies and agents keep idle
/// connections for 60 s or less, or notice that one was closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Longest time that sent bytes may wait for a client that takes none.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that are buffered of one connection at most; so also the longest header.
const MAX_BUFFER: usize = 64 << 10;
/// Delay after a failure to accept, such as at the limit of descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// What is served.
#[derive(Clone)]
pub(super) struct Site {
    /// Removed from the path of each request.
    pub(super) base: BasePath,
    pub(super) router: Router,
}

/// Serves `site` on `listener` until `stop` is true, then finishes the open requests.
pub(super) async fn serve(
    listener: TcpListener,
    site: Site,
    limits: &Limits,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let permits = Permits::new(limits.connections, limits.connections_per_network);
    // Each connection has a receiver, so the channel is closed when the last one ends.
    let (open, opened) = watch::channel(());
    let builder = builder();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                recover(&error, &permits, &metrics).await;
                continue;
            }
        };
        let Some((permit, evicted)) = permits.acquire(address.ip()) else {
            metrics.connections_refused.inc();
            continue;
        };
        metrics.connections_evicted.inc_by(evicted);
        let connection = Connection {
            site: site.clone(),
            builder: builder.clone(),
            permit: Arc::new(permit),
            metrics: Arc::clone(&metrics),
            stop: stop.clone(),
        };
        let opened = opened.clone();
        tokio::spawn(async move {
            connection.serve(stream, address).await;
            drop(opened);
        });
    }
    drop((listener, opened));
    open.closed().await;
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(MAX_BUFFER);
    builder
}

/// Goes on after a failure to accept a connection.
async fn recover(error: &io::Error, permits: &Permits, metrics: &Metrics) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind()) {
        return;
    }
    // Mostly the limit of descriptors: the connection that waits longest gives its own back.
    warn!(%error, "cannot accept a connection");
    metrics.connections_evicted.inc_by(permits.evict());
    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
}

/// One connection.
struct Connection {
    site: Site,
    builder: Builder,
    permit: Arc<Permit>,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, address: SocketAddr) {
        let timeout = SEND_TIMEOUT.as_millis() as u32;
        if let Err(error) = set_tcp_user_timeout(&stream, timeout) {
            debug!(%error, "cannot bound the time that a client may take nothing");
        }
        self.metrics.connections.inc();
        let permit = Arc::clone(&self.permit);
        let Site { base, router } = self.site;
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |request: Request<Incoming>| {
            let busy = permit.begin();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            base.strip(request.uri_mut());
            let answer = router.call(request);
            async move { answer.await.map(|answer| hold(answer, busy)) }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let mut first = pin!(tokio::time::sleep(HEADER_TIMEOUT));
        let (mut began, mut stopping) = (false, false);
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        debug!(%error, "a connection ended");
                    }
                    break;
                }
                () = self.permit.evicted() => break,
                () = first.as_mut(), if !began => {
                    began = self.permit.has_begun();
                    if !began {
                        break;
                    }
                }
                _ = self.stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
        self.metrics.connections.dec();
    }
}

/// Keeps the connection busy, and the memory of the answer, until the answer is sent.
fn hold(mut answer: Response<Body>, busy: Busy) -> Response<Held> {
    let held = (busy, answer.extensions_mut().remove());
    answer.map(|body| Held { body, _held: held })
}

/// The body of an answer, with what it holds.
struct Held {
    body: Body,
    _held: (Busy, Option<Kept>),
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
