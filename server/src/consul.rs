//! Registration with Consul's agent: so that whoever looks for servers finds those that answer.
//!
//! Consul asks `/ping` by itself. It may forget us (an agent that remembers nothing is restarted),
//! so it is asked now and then whether it knows us. A server that dies without a word turns critical,
//! and is removed by Consul after a while.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::auth::password::Password;

/// How often Consul asks us, and removes us when we have not answered for so long.
const ASKS: &str = "5s";
const GIVES_UP: &str = "10m";
/// For how long Consul waits for an answer: longer than [`crate::http`] takes to give one.
const WAITS: &str = "4s";
/// How often we ask whether Consul knows us.
const LOOK: Duration = Duration::from_secs(5);
/// After so long Consul is given up, until the next time.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of a refusal that are logged at most.
const SAID: usize = 500;

/// How to register, as it is set.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where Consul's agent is.
    pub consul: Url,
    /// By which others find us.
    pub service: String,
    /// Where others reach us (`HOST[:PORT]`), if that is not where we listen.
    pub address: Option<String>,
    /// What Consul asks for.
    pub token: Option<Password>,
}

/// What we tell of ourselves.
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
            Some(text) => reached(text, listen.port())?,
        };
        Ok(Self {
            service: wanted.service.clone(),
            address,
            port,
        })
    }

    /// The same for a server that starts anew: it takes its own place again.
    fn id(&self) -> String {
        format!("{}-{}-{}", self.service, self.address, self.port)
    }

    fn described(&self) -> Value {
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
                "Interval": ASKS,
                "Timeout": WAITS,
                "DeregisterCriticalServiceAfter": GIVES_UP,
            },
        })
    }
}

/// Name or address, and port: `HOST`, `HOST:PORT`, also of IPv6 (`::1`, `[::1]:PORT`).
fn reached(text: &str, port: u16) -> Result<(String, u16)> {
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
    let port = port.with_context(|| format!("--consul-address {text:?} is no HOST[:PORT]"))?;
    Ok((host.to_owned(), port))
}

/// Consul's agent.
pub struct Consul {
    client: Client,
    wanted: Wanted,
    registration: Registration,
}

impl Consul {
    /// One that is told of a server that listens there.
    ///
    /// # Errors
    /// When others could not reach it there.
    pub fn new(wanted: Wanted, listen: SocketAddr) -> Result<Self> {
        // Fails only where one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(PATIENCE).build();
        Ok(Self {
            client: client.context("cannot make an HTTP client")?,
            registration: Registration::new(&wanted, listen)?,
            wanted,
        })
    }

    /// Registers, again whenever Consul has forgotten us, until `stop` becomes true; deregisters then.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut failing, mut told) = (false, false);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            match self.look(told).await {
                Ok(()) => (failing, told) = (false, true),
                Err(error) if !failing => {
                    warn!("cannot register with Consul, and will go on trying: {error:#}");
                    failing = true;
                }
                Err(_) => {}
            }
        }
        match self
            .tell("deregister", &self.registration.id())
            .send()
            .await
        {
            Ok(answer) if answer.status().is_success() => info!("deregistered from Consul"),
            Ok(answer) => warn!(status = %answer.status(), "Consul did not deregister us"),
            Err(error) => warn!(%error, "cannot deregister from Consul"),
        }
    }

    /// Registers, if we have not yet or Consul does not know us any more.
    async fn look(&self, told: bool) -> Result<()> {
        // What is known at first an earlier run told, which may have been of another version.
        if told {
            let path = format!("v1/agent/service/{}", self.registration.id());
            let known = self.request(Method::GET, &path).send().await?;
            if known.status() != StatusCode::NOT_FOUND {
                known.error_for_status()?;
                return Ok(());
            }
        }
        let described = self.registration.described();
        let answer = self.tell("register", "").json(&described).send().await?;
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

    fn tell(&self, what: &str, id: &str) -> RequestBuilder {
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

/// The URL of `path` in what is at `consul`, which may itself be in a folder of a proxy.
fn below(consul: &Url, path: &str) -> Url {
    let mut url = consul.clone();
    url.set_path(&format!("{}/{path}", consul.path().trim_end_matches('/')));
    url
}

/// What an answer begins with: it may be of any length.
async fn start_of(mut answer: Response) -> String {
    let mut said = Vec::new();
    while said.len() < SAID
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        said.extend_from_slice(&chunk);
    }
    said.truncate(SAID);
    String::from_utf8_lossy(&said).trim().to_owned()
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
    fn others_are_told_where_they_reach_us() {
        let at = |advertised: Option<&str>, listen: &str| {
            let wanted = Wanted {
                consul: "http://127.0.0.1:8500".parse().expect("a URL"),
                service: "bubble".to_owned(),
                address: advertised.map(str::to_owned),
                token: None,
            };
            let made = Registration::new(&wanted, listen.parse().expect("an address"));
            made.map(|made| {
                let check = made.described()["Check"]["HTTP"].clone();
                (made.address, made.port, check.to_string())
            })
        };
        let told = |advertised, listen| at(advertised, listen).expect("reachable").2;
        assert_eq!(told(None, "10.0.0.1:80"), "\"http://10.0.0.1:80/ping\"");
        assert_eq!(told(None, "[fe80::1]:80"), "\"http://[fe80::1]:80/ping\"");
        assert_eq!(told(Some("web7"), "0.0.0.0:80"), "\"http://web7:80/ping\"");
        assert_eq!(
            told(Some("web7:81"), "0.0.0.0:80"),
            "\"http://web7:81/ping\""
        );
        assert_eq!(
            told(Some("fd00::1"), "[::]:80"),
            "\"http://[fd00::1]:80/ping\""
        );
        assert_eq!(
            told(Some("[fd00::1]:81"), "[::]:80"),
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
