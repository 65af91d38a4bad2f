//! The settings: each field is a flag, an environment variable, a default and a key of the file.
//!
//! The groups are what several commands share.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Args;
use clap::builder::FalseyValueParser;
use reqwest::Url;

use super::period::Period;
use super::store::StoreSetting;
use crate::auth::password::Password;
use crate::auth::secret::Secret;
use crate::consul;
use crate::http::base::BasePath;
use crate::http::state::Limits;
use crate::memory::default_limit;
use crate::rollup::{Packer, queue};
use crate::span::retention::Retention;
use crate::store::cassandra::Consistency;
use crate::store::cassandra::address::Address;
use crate::store::sqlite::Durability;

/// Warns about a short secret.
pub const SHORT_SECRET: &str = "the secret of the tokens is shorter than 32 bytes: whoever guesses it can \
    read and delete everything. Replace it as soon as existing links may become invalid";

/// Settings of all commands.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Directory of the database and the secret
    #[arg(
        long,
        global = true,
        env = "BUBBLE_DATA",
        value_name = "DIR",
        default_value = "./bubble-data"
    )]
    pub data: PathBuf,
    /// Where segments are stored: sqlite (in the data directory), or cassandra:HOST[:PORT],…/KEYSPACE
    #[arg(
        long,
        global = true,
        env = "BUBBLE_STORE",
        value_name = "STORE",
        default_value_t
    )]
    pub store: StoreSetting,
    /// Cassandra: how many replicas must answer
    #[arg(
        long,
        global = true,
        env = "BUBBLE_CONSISTENCY",
        value_enum,
        default_value_t
    )]
    pub consistency: Consistency,
    /// File with settings (TOML); its keys are the names of the flags, with _ for -
    #[arg(long, global = true, env = "BUBBLE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Secret that signs tokens, at least 32 bytes; without it the server makes its own
    #[arg(
        long,
        global = true,
        env = "BUBBLE_SECRET",
        hide_env_values = true,
        value_name = "TEXT"
    )]
    pub secret: Option<String>,
    /// Accept a secret of less than 32 bytes, which can be guessed: only to keep existing links valid
    #[arg(
        long,
        global = true,
        env = "BUBBLE_ACCEPT_SHORT_SECRET",
        value_parser = FalseyValueParser::new()
    )]
    pub accept_short_secret: bool,
}

/// How long each resolution is kept.
#[derive(Debug, Clone, Copy, Args)]
pub struct Keep {
    /// How long seconds are kept, at least 5m
    #[arg(long, env = "BUBBLE_RETENTION_SECONDS", value_name = "PERIOD",
        default_value_t = Period(Retention::default().seconds))]
    retention_seconds: Period,
    /// How long minutes are kept, at least 2h
    #[arg(long, env = "BUBBLE_RETENTION_MINUTES", value_name = "PERIOD",
        default_value_t = Period(Retention::default().minutes))]
    retention_minutes: Period,
    /// How long hours are kept, at least 2d; days are kept for ever
    #[arg(long, env = "BUBBLE_RETENTION_HOURS", value_name = "PERIOD",
        default_value_t = Period(Retention::default().hours))]
    retention_hours: Period,
    /// How long the last seconds of a container stay after its end (SQLite) [default: as long as minutes]
    #[arg(long, env = "BUBBLE_RETENTION_FINISHED", value_name = "PERIOD")]
    retention_finished: Option<Period>,
}

/// Where the server listens by default.
pub(super) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8_080));

/// Settings of `serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Settings of all commands.
    #[command(flatten)]
    pub common: Common,
    /// Address to listen on
    #[arg(long, env = "BUBBLE_LISTEN", value_name = "ADDRESS:PORT",
        default_value_t = DEFAULT_LISTEN)]
    pub listen: SocketAddr,
    /// Path below which a reverse proxy shows this server, as /bubble; requests without it work, too
    #[arg(long, env = "BUBBLE_BASE", value_name = "PATH", default_value = "/")]
    pub base: BasePath,
    #[command(flatten)]
    keep: Keep,
    /// Who rolls up: the server itself, or workers (`retention listen`)
    #[arg(
        long,
        env = "BUBBLE_ROLLUP",
        value_enum,
        value_name = "WHO",
        default_value_t
    )]
    pub rollup: Packer,
    /// What an acknowledged post survives: the death of the process, or the loss of power as well
    #[arg(long, env = "BUBBLE_DURABILITY", value_enum, default_value_t)]
    pub durability: Durability,
    /// Connections that are open at the same time; beyond that, the one that has waited longest is closed
    #[arg(long, env = "BUBBLE_MAX_CONNECTIONS", value_name = "N",
        default_value_t = Limits::default().connections)]
    max_connections: usize,
    /// Of these, connections of one client: an IPv4 address, or 64 bits of an IPv6 address
    #[arg(long, env = "BUBBLE_MAX_CONNECTIONS_PER_CLIENT", value_name = "N",
        default_value_t = Limits::default().connections_per_network)]
    max_connections_per_client: usize,
    /// Largest body of a post, in bytes
    #[arg(long, env = "BUBBLE_MAX_BODY", value_name = "BYTES",
        default_value_t = Limits::default().body)]
    max_body: usize,
    /// Largest capture that may be uploaded, in bytes; 0: none is taken
    #[arg(long, env = "BUBBLE_MAX_CAPTURE", value_name = "BYTES",
        default_value_t = Limits::default().capture)]
    max_capture: u64,
    /// Posts that are handled at the same time; more are answered 429
    #[arg(long, env = "BUBBLE_MAX_POSTS", value_name = "N",
        default_value_t = Limits::default().posts)]
    max_posts: usize,
    /// Queries that are handled at the same time; more are answered 429
    #[arg(long, env = "BUBBLE_MAX_READS", value_name = "N",
        default_value_t = Limits::default().reads)]
    max_reads: usize,
    /// Memory of the process, in bytes; beyond it posts and queries wait, or are answered 503
    /// [default: the limit of its cgroup, else half of the machine's]
    #[arg(long, env = "BUBBLE_MEMORY_LIMIT", value_name = "BYTES")]
    memory_limit: Option<usize>,
    /// Let anyone read everything without a token: only if a proxy in front of this server checks
    #[arg(long, env = "AUTH_DISABLE", value_parser = FalseyValueParser::new())]
    pub auth_disable: bool,
    /// Seconds in a slot of /container/ID/…?interval=s: 10 for pages of late versions of the Python system
    #[arg(long, env = "BUBBLE_LEGACY_SLOTS", value_name = "SECONDS", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=60))]
    pub legacy_slots: u64,
    /// Consul's agent to register with, as http://127.0.0.1:8500; without it there is no registration
    #[arg(long, env = "BUBBLE_CONSUL", value_name = "URL")]
    consul: Option<Url>,
    /// Name of the service in Consul
    #[arg(
        long,
        env = "BUBBLE_CONSUL_SERVICE",
        value_name = "NAME",
        default_value = "bubble-server"
    )]
    consul_service: String,
    /// Address of this server in Consul [default: where it listens]
    #[arg(long, env = "BUBBLE_CONSUL_ADDRESS", value_name = "HOST[:PORT]")]
    consul_address: Option<String>,
    /// Token for Consul, if it needs one
    #[arg(
        long,
        env = "CONSUL_HTTP_TOKEN",
        hide_env_values = true,
        value_name = "TEXT"
    )]
    consul_token: Option<Password>,
    /// The log.
    #[command(flatten)]
    pub log: Log,
}

/// The log, on standard error.
#[derive(Debug, Clone, Args)]
pub struct Log {
    /// What is logged: error, warn, info, debug, or a filter of tracing
    #[arg(
        long = "log",
        id = "log",
        env = "BUBBLE_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub filter: String,
    /// Log JSON, one object a line
    #[arg(long = "log-json", id = "log_json", env = "BUBBLE_LOG_JSON")]
    pub json: bool,
}

/// RabbitMQ and the queue of jobs.
#[derive(Debug, Clone, Args)]
pub struct Broker {
    /// Host of RabbitMQ
    #[arg(
        long,
        env = "RABBITMQ_HOST",
        value_name = "HOST",
        default_value = "localhost"
    )]
    rabbitmq_host: String,
    /// Its port
    #[arg(
        long,
        env = "RABBITMQ_PORT",
        value_name = "PORT",
        default_value_t = 5_672
    )]
    rabbitmq_port: u16,
    /// Its virtual host
    #[arg(long, env = "RABBITMQ_VHOST", value_name = "NAME", default_value = "/")]
    rabbitmq_vhost: String,
    /// Its user
    #[arg(
        long,
        env = "RABBITMQ_USER",
        value_name = "NAME",
        default_value = "guest"
    )]
    rabbitmq_user: String,
    /// The user's password
    #[arg(
        long,
        env = "RABBITMQ_PASSWORD",
        hide_env_values = true,
        value_name = "TEXT",
        default_value = "guest"
    )]
    rabbitmq_password: Password,
    /// The queue of jobs; jobs that cannot be done end up in NAME.dead
    #[arg(
        long,
        env = "RABBITMQ_QUEUE",
        value_name = "NAME",
        default_value = "bubble-rollup"
    )]
    rabbitmq_queue: String,
}

impl Common {
    /// The secret that is set, else that of the data directory. Makes the latter if it does not
    /// exist, and returns its path then.
    ///
    /// # Errors
    /// When it is too short, or cannot be read or made.
    pub fn secret(&self) -> Result<(Secret, Option<PathBuf>)> {
        // An empty variable is usual in the files of Compose, and means none.
        Ok(
            match self.secret.as_deref().filter(|text| !text.is_empty()) {
                Some(text) if self.accept_short_secret => (Secret::of_any_length(text)?, None),
                Some(text) => (Secret::new(text)?, None),
                None => Secret::of_data(&self.data)?,
            },
        )
    }

    /// The Cassandra that workers share with the servers.
    ///
    /// # Errors
    /// When the store is SQLite.
    pub fn shared_store(&self) -> Result<&Address> {
        match &self.store {
            StoreSetting::Cassandra(address) => Ok(address),
            StoreSetting::Sqlite => bail!(
                "the server on SQLite rolls up by itself: workers need a store that they share \
                 with it, as --store cassandra:HOST,…/KEYSPACE"
            ),
        }
    }
}

impl Keep {
    /// How long each resolution is kept.
    ///
    /// # Errors
    /// When a period is so short that data could expire before it is rolled up.
    pub fn retention(&self) -> Result<Retention> {
        let retention = Retention {
            seconds: self.retention_seconds.0,
            minutes: self.retention_minutes.0,
            hours: self.retention_hours.0,
            finished: self.retention_finished.unwrap_or(self.retention_minutes).0,
        };
        ensure!(
            retention.seconds >= 300,
            "retention-seconds must be at least 5m: data must not expire before it is rolled up"
        );
        ensure!(
            retention.minutes >= 7_200 && retention.hours >= 2 * 86_400,
            "retention-minutes must be at least 2h, and retention-hours at least 2d"
        );
        ensure!(
            retention.finished <= retention.minutes,
            "retention-finished must be at most retention-minutes"
        );
        Ok(retention)
    }
}

impl Serve {
    /// How long each resolution is kept.
    ///
    /// # Errors
    /// When a period is too short, or the server is to share SQLite with workers.
    pub fn retention(&self) -> Result<Retention> {
        ensure!(
            self.rollup == Packer::Builtin || self.common.store != StoreSetting::Sqlite,
            "workers share a store with the server, which SQLite can't be: leave --rollup at builtin, or store in Cassandra"
        );
        self.keep.retention()
    }

    /// Bounds on concurrent work.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            connections_per_network: self.max_connections_per_client,
            body: self.max_body,
            capture: self.max_capture,
            posts: self.max_posts,
            reads: self.max_reads,
            memory: self.memory_limit.unwrap_or_else(default_limit),
            ..Limits::default()
        }
    }

    /// How to register with Consul, if at all.
    pub fn consul(&self) -> Option<consul::Wanted> {
        Some(consul::Wanted {
            consul: self.consul.clone()?,
            service: self.consul_service.clone(),
            address: self.consul_address.clone(),
            token: self.consul_token.clone(),
        })
    }
}

impl From<Broker> for queue::Broker {
    fn from(broker: Broker) -> Self {
        Self {
            host: broker.rabbitmq_host,
            port: broker.rabbitmq_port,
            vhost: broker.rabbitmq_vhost,
            user: broker.rabbitmq_user,
            password: broker.rabbitmq_password,
            queue: broker.rabbitmq_queue,
        }
    }
}
