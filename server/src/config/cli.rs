//! The commands. What several of them share, and what the file can set, is in [`super::settings`].

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::period::Period;
use super::settings::{Broker, Common, Keep, Log, Serve};
use super::store::StoreLocation;
use crate::store::cassandra::Replication;

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
    /// API keys for agents
    Key {
        /// Settings of all commands.
        #[command(flatten)]
        common: Common,
        /// What to do.
        #[command(subcommand)]
        command: Key,
    },
    /// Containers, and all that is stored of them
    Container {
        /// Settings of all commands.
        #[command(flatten)]
        common: Common,
        /// What to do.
        #[command(subcommand)]
        command: Container,
    },
    /// Hosts from which agents report
    Host {
        /// Settings of all commands.
        #[command(flatten)]
        common: Common,
        /// What to do.
        #[command(subcommand)]
        command: Host,
    },
    /// Recordings posted by `bubble-agent analyse`
    Recording {
        /// Settings of all commands.
        #[command(flatten)]
        common: Common,
        /// What to do.
        #[command(subcommand)]
        command: Recording,
    },
    /// Tables of the store
    Db {
        /// Settings of all commands.
        #[command(flatten)]
        common: Common,
        /// What to do.
        #[command(subcommand)]
        command: Db,
    },
    /// Roll-up by workers that take jobs from RabbitMQ, where one server is too slow
    Retention {
        /// Settings of all commands.
        #[command(flatten)]
        common: Common,
        /// What to do.
        #[command(subcommand)]
        command: Retention,
    },
    /// Make a token that lets people read; list and revoke tokens
    Token(Token),
}

/// Commands of `retention`.
#[derive(Debug, Subcommand)]
pub enum Retention {
    /// Queue a job for each container and span that is due, then exit (for cron)
    Retain {
        /// Resolution to make: minutes (of seconds that are over), hours or days
        #[arg(long, value_enum)]
        resolution: Made,
        /// The queue.
        #[command(flatten)]
        broker: Broker,
        /// The log.
        #[command(flatten)]
        log: Log,
    },
    /// Do jobs until SIGTERM; any number of workers may run
    Listen {
        /// Jobs that run at the same time
        #[arg(long, env = "BUBBLE_JOBS", value_name = "N", default_value_t = 2,
            value_parser = clap::value_parser!(u16).range(1..=1_000))]
        jobs: u16,
        /// The queue.
        #[command(flatten)]
        broker: Broker,
        /// How long each resolution is kept: must be as on the servers.
        #[command(flatten)]
        keep: Keep,
        /// The log.
        #[command(flatten)]
        log: Log,
    },
}

/// A resolution that roll-up makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Made {
    /// Minutes
    M,
    /// Hours
    H,
    /// Days
    D,
}

/// Commands of `key`.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key and show it, once
    Create {
        /// Who will use it
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// Take this key, which hosts have already, instead of a new one; - reads it from standard input
        #[arg(long, value_name = "EXISTING")]
        key: Option<String>,
    },
    /// List keys: id, owner, times of creation and of last use
    List,
    /// Delete a key; it is invalid at once
    Delete {
        /// Id of the key, as `key list` shows it, or the whole key
        id: String,
    },
}

/// Commands of `container`.
#[derive(Debug, Subcommand)]
pub enum Container {
    /// Delete a container that has ended, or all old ones, with their parts of recordings
    Delete {
        /// Id of the container
        #[arg(required_unless_present = "older_than", conflicts_with = "older_than")]
        id: Option<String>,
        /// All that were last seen longer ago than this, such as 30d; in a recording, that were posted before
        #[arg(long, value_name = "PERIOD")]
        older_than: Option<Period>,
    },
    /// Release a container, or all of a host: the next key that posts it owns it
    ///
    /// Needed if a container moves to a host with keys of another owner, or if a host gets another name.
    Release {
        /// Id of the container
        #[arg(required_unless_present = "host", conflicts_with = "host")]
        id: Option<String>,
        /// All containers that this host reported first
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
    },
}

/// Commands of `recording`.
#[derive(Debug, Subcommand)]
pub enum Recording {
    /// List recordings: id, name, time of the first post, containers
    List,
    /// Delete a recording, and the containers that only it has
    Delete {
        /// Id of the recording: 32 hexadecimal digits
        id: String,
    },
}

/// Commands of `db`.
#[derive(Debug, Subcommand)]
pub enum Db {
    /// Make the tables that do not exist yet
    Init {
        /// Copies of everything in Cassandra: a number, or one for each data centre, as in east=3,west=3
        #[arg(long, value_name = "COPIES", default_value = "3")]
        replication: Replication,
    },
    /// Upgrade the tables of an earlier version
    Upgrade,
    /// Check that the store answers and that its tables have this version
    Check,
    /// Copy all of one store into another, and compare them
    ///
    /// No server may run on either. A copy that was interrupted continues when it is started again.
    Copy {
        /// Source: sqlite:DIRECTORY, or cassandra:HOST[:PORT],…/KEYSPACE
        #[arg(long, value_name = "STORE")]
        from: StoreLocation,
        /// Target, likewise: a new directory, or a keyspace that `db init` has made
        #[arg(long, value_name = "STORE")]
        to: StoreLocation,
        /// How long each resolution is kept: must be as on the servers of the new store.
        #[command(flatten)]
        keep: Keep,
    },
}

/// Commands of `token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List tokens that have not expired: id, access, times of creation and expiry, whether revoked
    List,
    /// Revoke a token; servers refuse it within seconds and end its streams
    Revoke {
        /// Id of the token, as `token list` shows it, or the whole token
        #[arg(value_name = "ID")]
        token: String,
    },
}

/// Commands of `host`.
#[derive(Debug, Subcommand)]
pub enum Host {
    /// List hosts: name, owner of the key, time of the latest report, agents that count there
    List,
    /// Delete the report of a host that is gone; its containers stay
    Delete {
        /// Name of the host
        name: String,
        /// Only of this owner's host
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
    },
}

/// Settings of `token`.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, group(ArgGroup::new("access").required(true)))]
pub struct Token {
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<TokenCommand>,
    /// Settings of all commands.
    #[command(flatten)]
    pub common: Common,
    /// Let the token read this container only
    #[arg(long, value_name = "ID", group = "access")]
    pub container: Option<String>,
    /// Let the token read everything
    #[arg(long, group = "access")]
    pub admin: bool,
    /// Days until the token expires
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub days: u64,
}
