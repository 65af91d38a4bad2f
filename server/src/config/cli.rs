//! The commands. What several of them share, and what the file can set, is in [`super::settings`].

use std::net::SocketAddr;
use std::path::PathBuf;

use bubble_common::report::DEFAULT_ROWS;
use bubble_common::report::asked::Asked;
use bubble_common::report::render::Format;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::period::Period;
use super::settings::{Broker, Common, DEFAULT_LISTEN, Keep, Log, Serve};
use super::store::StoreLocation;
use crate::auth::link::MAX_DAYS;
use crate::capture::read::Bounds;
use crate::capture::start::COMMAND;
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
    /// Recordings, uploaded or posted by `bubble-agent analyse`
    Recording {
        /// Settings of all commands.
        #[command(flatten)]
        common: Common,
        /// What to do.
        #[command(subcommand)]
        command: Recording,
    },
    /// Ask the server on this machine whether it can store posts; the exit code is 1 if not
    Health {
        /// Settings of all commands.
        #[command(flatten)]
        common: Common,
        /// Address that the server listens on
        #[arg(long, env = "BUBBLE_LISTEN", value_name = "ADDRESS:PORT", default_value_t = DEFAULT_LISTEN)]
        listen: SocketAddr,
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
    /// Links that show one container, or a range of its life, without an account
    Share {
        /// Settings of all commands.
        #[command(flatten)]
        common: Common,
        /// What to do.
        #[command(subcommand)]
        command: Share,
    },
    /// Report what a container, or a range of it, was: CPU, memory, files, peers, processes, advice
    Report(Report),
    /// Read a capture from standard input: `serve` starts this for each upload
    #[command(name = COMMAND, hide = true)]
    ReadCapture(Bounds),
}

/// Settings of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Settings of all commands.
    #[command(flatten)]
    pub common: Common,
    /// How long each resolution is kept: must be as on the servers.
    #[command(flatten)]
    pub keep: Keep,
    /// Id of the container
    pub id: String,
    /// Start, seconds since the Unix epoch [default: that of the container]
    #[arg(long, value_name = "TIME")]
    pub from: Option<f64>,
    /// End, seconds since the Unix epoch [default: that of the container, or now]
    #[arg(long, value_name = "TIME")]
    pub to: Option<f64>,
    /// What was asked for when it was started, such as cores=32,memory=64G,time=2h [default: its limits]
    #[arg(long, value_name = "WHAT")]
    pub asked: Option<Asked>,
    /// Rows of each list at most
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ROWS as u16, value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    /// Format: text, markdown, html (one page with charts), json (docs/report.schema.json), time (as GNU time -v), snakemake (a benchmark),
    /// nextflow (.command.trace)
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        hide_default_value = true
    )]
    pub format: Format,
    /// As --format json
    #[arg(long, conflicts_with_all = ["markdown", "format"])]
    pub json: bool,
    /// As --format markdown
    #[arg(long, conflicts_with = "format")]
    pub markdown: bool,
    /// As --format html
    #[arg(long, conflicts_with_all = ["json", "markdown", "format"])]
    pub html: bool,
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
    /// Save a range of a container as one HTML file that opens without a server
    Export {
        /// Id of the container
        id: String,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        html: PathBuf,
        /// Start, seconds since the Unix epoch; without it the start of the container
        #[arg(long, value_name = "SECONDS")]
        from: Option<u64>,
        /// End; without it when the container was last seen
        #[arg(long, value_name = "SECONDS")]
        to: Option<u64>,
        /// Length of a slot in seconds; chosen by default
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
        step: Option<u64>,
        /// How long each resolution is kept: must be as on the servers.
        #[command(flatten)]
        keep: Keep,
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
    /// Read all of the store and list what is damaged; the exit code is 1 then
    ///
    /// Servers may be using it.
    Check,
    /// Rewrite SQLite's file without free space; from then on it can shrink by itself
    ///
    /// Needed once for a database of an earlier version. No server may use it, and its directory needs as much free
    /// space as the result.
    Compact,
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

/// Commands of `share`.
#[derive(Debug, Subcommand)]
pub enum Share {
    /// Make a link and show it, once: to be appended to the server's address
    Create {
        /// Id of the container
        container: String,
        /// Start of the range, seconds since the Unix epoch; without it the whole life
        #[arg(long, value_name = "SECONDS", requires = "to")]
        from: Option<u64>,
        /// End of the range; the link shows whole minutes
        #[arg(long, value_name = "SECONDS", requires = "from")]
        to: Option<u64>,
        /// Days until the link expires
        #[arg(long, value_name = "N", default_value_t = 7,
            value_parser = clap::value_parser!(u64).range(1..=MAX_DAYS))]
        days: u64,
    },
    /// List links that have not expired: id, container, range, times of creation and expiry, whether revoked
    List,
    /// Revoke a link; servers refuse it within seconds and end its streams
    Revoke {
        /// Id of the link, as `share list` shows it
        id: String,
    },
}

/// Commands of `host`.
#[derive(Debug, Subcommand)]
pub enum Host {
    /// List hosts, those that need somebody first: owner of the key, state, latest report, clock, what they cannot count
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
