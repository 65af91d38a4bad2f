//! HTTP over turmoil's TCP: the agent's transport, and the listener before the server.

use std::convert::Infallible;
use std::fmt;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bubble_agent::send::transport::{Answering, Transport, TransportError};
use bubble_common::batch::Batch;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use turmoil::net::{TcpListener, TcpStream};

use crate::disk::Process;
use crate::faults::{Fault, Faults};
use crate::server::Server;

/// The server's port.
pub(crate) const PORT: u16 = 80;
/// Time after which an agent gives up, as its HTTP client does.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bodies above this are too large during a spell of that fault.
const MAX_BODY: usize = 600;

/// Posts of one run of the agent.
#[derive(Debug)]
pub(crate) struct SimulatedNetwork(pub(crate) Arc<Process>);

impl Transport for SimulatedNetwork {
    fn send(&self, request: reqwest::Request) -> Answering {
        let process = Arc::clone(&self.0);
        Box::pin(async move {
            if process.is_dead() {
                return std::future::pending().await;
            }
            let answer = tokio::time::timeout(TIMEOUT, exchange(request)).await;
            if process.is_dead() {
                return std::future::pending().await;
            }
            answer.map_err(|_| "no answer in time")?
        })
    }
}

/// Ends the task of a connection with its request.
struct Ending(AbortHandle);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(request: reqwest::Request) -> Result<reqwest::Response, TransportError> {
    let stream = TcpStream::connect(("server", PORT)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _ending = Ending(tokio::spawn(connection).abort_handle());
    let body = request.body().and_then(reqwest::Body::as_bytes);
    let body = Bytes::copy_from_slice(body.unwrap_or_default());
    let mut sent = Request::post(request.url().path()).body(Full::new(body))?;
    *sent.headers_mut() = request.headers().clone();
    sent.headers_mut()
        .insert(header::HOST, header::HeaderValue::from_static("server"));
    let answer = sender.send_request(sent).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(reqwest::Response::from(Response::from_parts(head, body)))
}

/// The connection is cut.
#[derive(Debug)]
struct ConnectionCut;

impl fmt::Display for ConnectionCut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection is cut")
    }
}

impl std::error::Error for ConnectionCut {}

/// Accepts connections for ever.
pub(crate) async fn listen(server: Rc<Server>, faults: Arc<Faults>) -> std::io::Result<Infallible> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (server, faults) = (Rc::clone(&server), Arc::clone(&faults));
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| answer(&server, &faults, request));
            let connection = hyper::server::conn::http1::Builder::new();
            // An error is one of the faults: the connection ends.
            let _ = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    server: &Rc<Server>,
    faults: &Arc<Faults>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, ConnectionCut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| ConnectionCut)?.to_bytes();
    let repeated = head.headers.contains_key("x-bubble-repeated");
    faults.say(|| format!("    post, repeated: {repeated}: {}", described(&body)));
    if faults.happens(Fault::LostPost, 1.0) {
        return Err(ConnectionCut);
    }
    if faults.happens(Fault::ForeignAnswer, 1.0) {
        return Ok(foreign(faults));
    }
    if body.len() > MAX_BODY && faults.happens(Fault::TooLarge, 1.0) {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "too large"));
    }
    if faults.happens(Fault::Late, 1.0) {
        let (server, delay) = (Rc::clone(server), Duration::from_secs(1 + faults.below(60)));
        tokio::task::spawn_local(async move {
            tokio::time::sleep(delay).await;
            server.post(&body, repeated);
        });
        return std::future::pending().await;
    }
    if faults.happens(Fault::Twice, 1.0) {
        server.post(&body, repeated);
    }
    let answer = server.post(&body, repeated).ok_or(ConnectionCut)?;
    faults.say(|| format!("    {} {:?}", answer.status(), answer.body()));
    match faults.happens(Fault::LostAnswer, 1.0) {
        true => Err(ConnectionCut),
        false => Ok(answer.map(Full::new)),
    }
}

/// The segments of a batch: container, start, slots and resolution of each.
fn described(body: &[u8]) -> String {
    let Ok(batch) = Batch::decode(body) else {
        return "no batch".to_owned();
    };
    let segments = batch.segments.iter().map(|segment| {
        let (key, slots) = (&segment.key, segment.slots());
        format!(
            "{} {}+{slots} {} {:x?}",
            key.container,
            key.start,
            key.resolution.name(),
            segment.coverage.iter().map(|c| c.0).collect::<Vec<_>>()
        )
    });
    let segments: Vec<String> = segments.collect();
    format!("{:?} {}", batch.source, segments.join(", "))
}

/// The answer of another program.
fn foreign(faults: &Faults) -> Response<Full<Bytes>> {
    let (status, text) = faults.one_of(&[
        (StatusCode::OK, "<html>Log in</html>"),
        (StatusCode::OK, r#"{"stored":999,"known":0,"refused":[]}"#),
        (StatusCode::NO_CONTENT, ""),
        (StatusCode::FOUND, ""),
        (StatusCode::NOT_FOUND, "not found"),
        (StatusCode::BAD_GATEWAY, "bad gateway"),
    ]);
    plain(status, text)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
