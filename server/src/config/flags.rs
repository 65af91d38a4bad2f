//! The command line, as it is typed. Each flag is also an environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use reqwest::Url;

use super::duration::Period;
use super::place::{Place, Whole};
use crate::auth::password::Password;
use crate::rollup::By;
use crate::store::cassandra::{Consistency, Replication};
use crate::store::sqlite::Durability;

/// Stores what bubble-agents post, rolls it up, and serves the API and the page.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API and the page, with everything built in
    Serve(Box<Serve>),
    /// API keys, with which agents post
    Key {
        /// What all commands take.
        #[command(flatten)]
        common: Common,
        /// What to do with them.
        #[command(subcommand)]
        command: Key,
    },
    /// Recordings, which `bubble-agent analyse` posts
    Recording {
        /// What all commands take.
        #[command(flatten)]
        common: Common,
        /// What to do with them.
        #[command(subcommand)]
        command: Recording,
    },
    /// The tables of the store
    Db {
        /// What all commands take.
        #[command(flatten)]
        common: Common,
        /// What to do with them.
        #[command(subcommand)]
        command: Db,
    },
    /// Roll-up by workers, for a site that has outgrown one server; jobs go through RabbitMQ
    Retention {
        /// What all commands take.
        #[command(flatten)]
        common: Common,
        /// What to do.
        #[command(subcommand)]
        command: Retention,
    },
    /// Make a token, with which people read
    Token(Token),
}

/// What all commands take.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// Directory of the database and the secret [default: ./bubble-data]
    #[arg(long, global = true, env = "BUBBLE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where segments are kept: sqlite (in the data directory), or cassandra:HOST[:PORT],…/KEYSPACE [default: sqlite]
    #[arg(long, global = true, env = "BUBBLE_STORE", value_name = "STORE")]
    pub store: Option<Place>,
    /// Of how many of Cassandra's replicas an answer is waited for [default: local-quorum]
    #[arg(long, global = true, env = "BUBBLE_CONSISTENCY", value_enum)]
    pub consistency: Option<Consistency>,
    /// File with settings (TOML); a name is that of a flag, with _ for -
    #[arg(long, global = true, env = "BUBBLE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Secret by which tokens are signed, at least 32 bytes; without it the server makes its own
    #[arg(
        long,
        global = true,
        env = "BUBBLE_SECRET",
        hide_env_values = true,
        value_name = "TEXT"
    )]
    pub secret: Option<String>,
}

/// How long each resolution is kept; days are kept for ever.
#[derive(Debug, Clone, Default, Args)]
pub struct Keep {
    /// How long seconds are kept [default: 1h]
    #[arg(long, env = "BUBBLE_RETENTION_SECONDS", value_name = "PERIOD")]
    pub retention_seconds: Option<Period>,
    /// How long minutes are kept [default: 2d]
    #[arg(long, env = "BUBBLE_RETENTION_MINUTES", value_name = "PERIOD")]
    pub retention_minutes: Option<Period>,
    /// How long hours are kept [default: 120d]; days are kept for ever
    #[arg(long, env = "BUBBLE_RETENTION_HOURS", value_name = "PERIOD")]
    pub retention_hours: Option<Period>,
}

/// Flags of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// What all commands take.
    #[command(flatten)]
    pub common: Common,
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, env = "BUBBLE_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// How long each resolution is kept.
    #[command(flatten)]
    pub keep: Keep,
    /// Who rolls up: the server itself, or workers (`retention listen`) [default: builtin]
    #[arg(long, env = "BUBBLE_ROLLUP", value_enum, value_name = "WHO")]
    pub rollup: Option<By>,
    /// What an acknowledged post survives: the death of the process, or the loss of power as well [default: power]
    #[arg(long, env = "BUBBLE_DURABILITY", value_enum)]
    pub durability: Option<Durability>,
    /// Largest body that is taken, in bytes [default: 16777216]
    #[arg(long, env = "BUBBLE_MAX_BODY", value_name = "BYTES")]
    pub max_body: Option<usize>,
    /// Posts that are worked on at the same time; beyond that 429 [default: 64]
    #[arg(long, env = "BUBBLE_MAX_POSTS", value_name = "N")]
    pub max_posts: Option<usize>,
    /// Questions that are worked on at the same time; beyond that 429 [default: 64]
    #[arg(long, env = "BUBBLE_MAX_READS", value_name = "N")]
    pub max_reads: Option<usize>,
    /// Let anyone read everything without a token: only where something in front of this server checks
    #[arg(long, env = "AUTH_DISABLE", value_parser = FalseyValueParser::new())]
    pub auth_disable: bool,
    /// Consul's agent to register with, as http://127.0.0.1:8500; without it there is no registration
    #[arg(long, env = "BUBBLE_CONSUL", value_name = "URL")]
    pub consul: Option<Url>,
    /// As which service [default: bubble-server]
    #[arg(long, env = "BUBBLE_CONSUL_SERVICE", value_name = "NAME")]
    pub consul_service: Option<String>,
    /// Where others reach this server [default: where it listens]
    #[arg(long, env = "BUBBLE_CONSUL_ADDRESS", value_name = "HOST[:PORT]")]
    pub consul_address: Option<String>,
    /// Consul's token, where it asks for one
    #[arg(
        long,
        env = "CONSUL_HTTP_TOKEN",
        hide_env_values = true,
        value_name = "TEXT"
    )]
    pub consul_token: Option<Password>,
    /// What is logged.
    #[command(flatten)]
    pub log: Log,
}

/// What is logged, to standard error.
#[derive(Debug, Clone, Default, Args)]
pub struct Log {
    /// What is logged: error, warn, info, debug, or a filter of tracing [default: info]
    #[arg(long, env = "BUBBLE_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Log as JSON, a line each
    #[arg(long, env = "BUBBLE_LOG_JSON")]
    pub log_json: bool,
}

/// What to do for roll-up by workers.
#[derive(Debug, Subcommand)]
pub enum Retention {
    /// Put a job for each container and span that is due, and end: from cron
    Retain {
        /// What is to be made: minutes, of seconds that are over; hours; days
        #[arg(long, value_enum)]
        resolution: Made,
        /// Where jobs go.
        #[command(flatten)]
        broker: Broker,
        /// What is logged.
        #[command(flatten)]
        log: Log,
    },
    /// Do jobs until SIGTERM; any number of these may run
    Listen {
        /// Jobs that are done at the same time
        #[arg(long, env = "BUBBLE_JOBS", value_name = "N", default_value_t = 2,
            value_parser = clap::value_parser!(u16).range(1..=1_000))]
        jobs: u16,
        /// Where jobs come from.
        #[command(flatten)]
        broker: Broker,
        /// How long what is stored is kept: as the servers have it.
        #[command(flatten)]
        keep: Keep,
        /// What is logged.
        #[command(flatten)]
        log: Log,
    },
}

/// A resolution that is made by roll-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Made {
    /// Minutes
    M,
    /// Hours
    H,
    /// Days
    D,
}

/// Where RabbitMQ is.
#[derive(Debug, Clone, Default, Args)]
pub struct Broker {
    /// Where RabbitMQ is [default: localhost]
    #[arg(long, env = "RABBITMQ_HOST", value_name = "HOST")]
    pub rabbitmq_host: Option<String>,
    /// Its port [default: 5672]
    #[arg(long, env = "RABBITMQ_PORT", value_name = "PORT")]
    pub rabbitmq_port: Option<u16>,
    /// Its virtual host [default: /]
    #[arg(long, env = "RABBITMQ_VHOST", value_name = "NAME")]
    pub rabbitmq_vhost: Option<String>,
    /// Its user [default: guest]
    #[arg(long, env = "RABBITMQ_USER", value_name = "NAME")]
    pub rabbitmq_user: Option<String>,
    /// The user's password [default: guest]
    #[arg(
        long,
        env = "RABBITMQ_PASSWORD",
        hide_env_values = true,
        value_name = "TEXT"
    )]
    pub rabbitmq_password: Option<Password>,
    /// The queue of jobs; those that can't be done end up in NAME.dead [default: bubble-rollup]
    #[arg(long, env = "RABBITMQ_QUEUE", value_name = "NAME")]
    pub rabbitmq_queue: Option<String>,
}

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key, and show it: this once
    Create {
        /// Whom it is for
        #[arg(long, value_name = "NAME")]
        owner: String,
    },
    /// List keys: id, owner, when made, when last used
    List,
    /// Delete a key, which is then void at once
    Delete {
        /// Its id: the part before the dot
        id: String,
    },
}

/// What to do with recordings.
#[derive(Debug, Subcommand)]
pub enum Recording {
    /// List recordings: id, name, when first posted, containers
    List,
    /// Delete a recording, and containers of which nothing else is known
    Delete {
        /// Its id: 32 hexadecimal digits
        id: String,
    },
}

/// What to do with the tables.
#[derive(Debug, Subcommand)]
pub enum Db {
    /// Make them, as far as they are not there
    Init {
        /// Copies of everything in Cassandra: a number, or one for each data centre, as in east=3,west=3
        #[arg(long, value_name = "COPIES", default_value = "3")]
        replication: Replication,
    },
    /// Bring those of an earlier version to this one
    Upgrade,
    /// Tell whether the store answers and its tables are of this version
    Check,
    /// Copy all of one store into another, and compare them
    ///
    /// No server may run on either. A copy that was ended goes on when it is started again.
    Copy {
        /// What to copy: sqlite:DIRECTORY, or cassandra:HOST[:PORT],…/KEYSPACE
        #[arg(long, value_name = "STORE")]
        from: Whole,
        /// Into what, likewise: a new directory, or a keyspace that `db init` has made
        #[arg(long, value_name = "STORE")]
        to: Whole,
        /// As the servers on the new store will have it.
        #[command(flatten)]
        keep: Keep,
    },
}

/// Flags of `token`.
#[derive(Debug, Args)]
pub struct Token {
    /// What all commands take.
    #[command(flatten)]
    pub common: Common,
    /// For this one container
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "admin",
        conflicts_with = "admin"
    )]
    pub container: Option<String>,
    /// For everything
    #[arg(long)]
    pub admin: bool,
    /// Days for which it is good
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub days: u64,
}
