//! Carries requests to a server: HTTP over the network, or a simulation of it.

use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use reqwest::{Client, Request, Response};

/// Why there is no answer.
pub type TransportError = Box<dyn Error + Send + Sync>;
/// An answer that is awaited.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send>>;

/// Sends requests.
pub trait Transport: Debug + Send + Sync {
    /// Sends a request, and returns its answer.
    fn send(&self, request: Request) -> Answering;
}

impl Transport for Client {
    fn send(&self, request: Request) -> Answering {
        let answer = self.execute(request);
        Box::pin(async move { Ok(answer.await?) })
    }
}
