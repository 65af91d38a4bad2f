//! Registration with Consul's agent, so that clients find the servers that answer.
//!
//! Consul polls `/ping`. A server that dies without deregistering turns critical, and Consul
//! removes it after a while. Consul's agent may lose the registration (a restart without stored
//! state), so it is checked now and then.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::auth::password::Password;

/// How often Consul polls this server.
const POLL_INTERVAL: &str = "5s";
/// How long Consul waits for an answer: longer than [`crate::http`] takes to give one.
const POLL_TIMEOUT: &str = "4s";
/// After how long without an answer Consul removes this server.
const REMOVE_AFTER: &str = "10m";
/// How often the registration is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for an answer of Consul.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of a refusal that are logged at most.
const MAX_LOGGED: usize = 500;

/// The settings of a registration.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// URL of Consul's agent.
    pub consul: Url,
    /// Name of the service.
    pub service: String,
    /// The address (`HOST[:PORT]`) of this server for others, if it differs from where it listens.
    pub address: Option<String>,
    /// Token for Consul.
    pub token: Option<Password>,
}

/// A registration: the service, and the address that others use.
struct Registration {
    service: String,
    address: String,
    port: u16,
}

impl Registration {
    fn new(wanted: &Wanted, listen: SocketAddr) -> Result<Self> {
        let (address, port) = match &wanted.address {
            None => {
                ensure!(
                    !listen.ip().is_unspecified(),
                    "give --consul-address HOST[:PORT]: others can't reach this server at {}",
                    listen.ip()
                );
                (listen.ip().to_string(), listen.port())
            }
            Some(text) => host_and_port(text, listen.port())?,
        };
        Ok(Self {
            service: wanted.service.clone(),
            address,
            port,
        })
    }

    /// The same after a restart, so that the server replaces its own registration.
    fn id(&self) -> String {
        format!("{}-{}-{}", self.service, self.address, self.port)
    }

    fn to_json(&self) -> Value {
        let host = match self.address.contains(':') {
            true => format!("[{}]", self.address),
            false => self.address.clone(),
        };
        json!({
            "ID": self.id(),
            "Name": self.service,
            "Address": self.address,
            "Port": self.port,
            "Meta": {"version": env!("CARGO_PKG_VERSION")},
            "Check": {
                "Name": "the server and its store answer",
                "HTTP": format!("http://{host}:{}/ping", self.port),
                "Interval": POLL_INTERVAL,
                "Timeout": POLL_TIMEOUT,
                "DeregisterCriticalServiceAfter": REMOVE_AFTER,
            },
        })
    }
}

/// Parses `HOST` or `HOST:PORT`, IPv6 addresses included (`::1`, `[::1]:PORT`); `port` is the default.
fn host_and_port(text: &str, port: u16) -> Result<(String, u16)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), address.port()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address.to_string(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, given)) => (host, given.parse().ok()),
        None => (text, Some(port)),
    };
    let good = !host.is_empty() && !host.contains(['/', '[', ']', ' ']);
    let port = port.filter(|_| good);
    let port =
        port.with_context(|| format!("invalid --consul-address {text:?}: expected HOST[:PORT]"))?;
    Ok((host.to_owned(), port))
}

/// TLS that trusts the public authorities. They are built in, as an image FROM scratch has no files of
/// them.
fn tls() -> Result<ClientConfig> {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot prepare TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The client of Consul's agent.
pub struct Consul {
    client: Client,
    wanted: Wanted,
    registration: Registration,
}

impl Consul {
    /// For a server that listens on `listen`.
    ///
    /// # Errors
    /// When others cannot reach it at that address.
    pub fn new(wanted: Wanted, listen: SocketAddr) -> Result<Self> {
        let client = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .tls_backend_preconfigured(tls()?)
            .build();
        Ok(Self {
            client: client.context("cannot make an HTTP client")?,
            registration: Registration::new(&wanted, listen)?,
            wanted,
        })
    }

    /// Registers, and again whenever Consul has lost the registration. Deregisters when `stop` becomes true.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut failing, mut registered) = (false, false);
        loop {
            tokio::select! {
                _ = check.tick() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            match self.ensure_registered(registered).await {
                Ok(()) => (failing, registered) = (false, true),
                Err(error) if !failing => {
                    warn!("cannot register with Consul, will retry: {error:#}");
                    failing = true;
                }
                Err(_) => {}
            }
        }
        match self
            .agent_service("deregister", &self.registration.id())
            .send()
            .await
        {
            Ok(answer) if answer.status().is_success() => info!("deregistered from Consul"),
            Ok(answer) => warn!(status = %answer.status(), "Consul did not deregister this server"),
            Err(error) => warn!(%error, "cannot deregister from Consul"),
        }
    }

    /// Registers, unless this run has done so and Consul still knows it.
    async fn ensure_registered(&self, registered: bool) -> Result<()> {
        // A registration found at the start is of an earlier run, perhaps of another version.
        if registered {
            let path = format!("v1/agent/service/{}", self.registration.id());
            let known = self.request(Method::GET, &path).send().await?;
            if known.status() != StatusCode::NOT_FOUND {
                known.error_for_status()?;
                return Ok(());
            }
        }
        let body = self.registration.to_json();
        let answer = self
            .agent_service("register", "")
            .json(&body)
            .send()
            .await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("Consul answers {status}: {}", start_of(answer).await);
        }
        info!(
            service = self.registration.service,
            "registered with Consul"
        );
        Ok(())
    }

    /// A request to `v1/agent/service/…`.
    fn agent_service(&self, what: &str, id: &str) -> RequestBuilder {
        let path = format!("v1/agent/service/{what}/{id}");
        self.request(Method::PUT, path.trim_end_matches('/'))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .client
            .request(method, below(&self.wanted.consul, path));
        match &self.wanted.token {
            Some(token) => request.header("x-consul-token", token.shown()),
            None => request,
        }
    }
}

/// The URL of `path` below `consul`, which may itself be a folder of a proxy.
fn below(consul: &Url, path: &str) -> Url {
    let mut url = consul.clone();
    url.set_path(&format!("{}/{path}", consul.path().trim_end_matches('/')));
    url
}

/// The start of an answer, as it may be of any length.
async fn start_of(mut answer: Response) -> String {
    let mut start = Vec::new();
    while start.len() < MAX_LOGGED
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        start.extend_from_slice(&chunk);
    }
    start.truncate(MAX_LOGGED);
    String::from_utf8_lossy(&start).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Registration, Wanted, below};

    #[test]
    fn consul_may_be_in_a_folder() {
        let of = |consul: &str| below(&consul.parse().expect("a URL"), "v1/x").to_string();
        assert_eq!(of("http://127.0.0.1:8500"), "http://127.0.0.1:8500/v1/x");
        assert_eq!(of("https://proxy/consul/"), "https://proxy/consul/v1/x");
        assert_eq!(of("https://proxy/consul"), "https://proxy/consul/v1/x");
    }

    #[test]
    fn the_registration_has_the_address_for_others() {
        let at = |advertised: Option<&str>, listen: &str| {
            let wanted = Wanted {
                consul: "http://127.0.0.1:8500".parse().expect("a URL"),
                service: "bubble".to_owned(),
                address: advertised.map(str::to_owned),
                token: None,
            };
            let made = Registration::new(&wanted, listen.parse().expect("an address"));
            made.map(|made| {
                let check = made.to_json()["Check"]["HTTP"].clone();
                (made.address, made.port, check.to_string())
            })
        };
        let url = |advertised, listen| at(advertised, listen).expect("reachable").2;
        assert_eq!(url(None, "10.0.0.1:80"), "\"http://10.0.0.1:80/ping\"");
        assert_eq!(url(None, "[fe80::1]:80"), "\"http://[fe80::1]:80/ping\"");
        assert_eq!(url(Some("web7"), "0.0.0.0:80"), "\"http://web7:80/ping\"");
        assert_eq!(
            url(Some("web7:81"), "0.0.0.0:80"),
            "\"http://web7:81/ping\""
        );
        assert_eq!(
            url(Some("fd00::1"), "[::]:80"),
            "\"http://[fd00::1]:80/ping\""
        );
        assert_eq!(
            url(Some("[fd00::1]:81"), "[::]:80"),
            "\"http://[fd00::1]:81/ping\""
        );
        assert!(at(None, "0.0.0.0:80").is_err());
        for wrong in [
            "web7:x",
            "web7:",
            ":80",
            "[fd00::1]",
            "http://web7",
            "web7/a",
        ] {
            assert!(at(Some(wrong), "0.0.0.0:80").is_err(), "{wrong}");
        }
    }
}
