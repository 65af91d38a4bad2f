//! Settings: a flag counts more than the environment, that more than the file, that more than the default.
//!
//! Flags and environment are one for clap; this is the one place where the rest is decided.

pub mod duration;
mod file;
pub mod flags;
pub mod legacy;
pub mod place;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::auth::secret::Secret;
use crate::consul::Wanted;
use crate::http::state::Limits;
use crate::rollup::By;
use crate::rollup::queue::Broker;
use crate::rollup::retention::Retention;
use crate::store::cassandra::Consistency;
use crate::store::cassandra::address::Address;
use crate::store::sqlite::Durability;
use file::File;
use flags::{Common, Keep, Serve};
use place::Place;

/// What all commands need.
#[derive(Debug, Clone)]
pub struct Base {
    /// Directory of the database and the secret.
    pub data: PathBuf,
    /// Where segments are kept.
    pub store: Place,
    /// Of how many replicas an answer is waited for, where there are replicas.
    pub consistency: Consistency,
    /// The secret, if one was given.
    secret: Option<String>,
}

/// Settings of `serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What all commands need.
    pub base: Base,
    /// Where to listen.
    pub listen: SocketAddr,
    /// How long each resolution is kept.
    pub retention: Retention,
    /// What an acknowledged post survives.
    pub durability: Durability,
    /// Bounds on what is taken on at a time.
    pub limits: Limits,
    /// Whether anyone may read everything.
    pub auth_disable: bool,
    /// Who rolls up.
    pub rollup: By,
    /// How to register with Consul, if at all.
    pub consul: Option<Wanted>,
    /// What is logged.
    pub log: Log,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter.
    pub filter: String,
    /// Whether it is JSON.
    pub json: bool,
}

/// Settings of `retention`.
#[derive(Debug, Clone)]
pub struct Work {
    /// The Cassandra that is shared with the servers.
    pub store: Address,
    /// Of how many replicas an answer is waited for.
    pub consistency: Consistency,
    /// Where jobs go.
    pub broker: Broker,
    /// How long each resolution is kept.
    pub retention: Retention,
    /// What is logged.
    pub log: Log,
}

impl Base {
    /// Decides by flags and file.
    ///
    /// # Errors
    /// When the file can't be read or has a mistake.
    pub fn new(flags: &Common) -> Result<Self> {
        Self::resolve(flags, &File::read(flags.config.as_deref())?)
    }

    fn resolve(flags: &Common, file: &File) -> Result<Self> {
        let data = flags.data.clone().or_else(|| file.data.clone());
        // The names that the Python system had for them.
        let variable = |name: &'static str| std::env::var(name).ok();
        let legacy = || variable("AUTH_SECRET");
        let store = match &flags.store {
            Some(store) => Some(store.clone()),
            None => Place::of_legacy(variable)?.or_else(|| file.store.clone()),
        };
        let consistency = flags.consistency.or(file.consistency);
        Ok(Self {
            data: data.unwrap_or_else(|| PathBuf::from("bubble-data")),
            store: store.unwrap_or_default(),
            consistency: consistency.unwrap_or_default(),
            secret: flags
                .secret
                .clone()
                .or_else(legacy)
                .or_else(|| file.secret.clone()),
        })
    }

    /// The secret that was given, or else that of the data directory, which is
    /// made when there is none; and where, if it was made now.
    ///
    /// # Errors
    /// When it is too short, or can't be read or made.
    pub fn secret(&self) -> Result<(Secret, Option<PathBuf>)> {
        Ok(match &self.secret {
            Some(text) => (Secret::new(text)?, None),
            None => Secret::of_data(&self.data)?,
        })
    }
}

impl Settings {
    /// Decides by flags and file.
    ///
    /// # Errors
    /// When the file can't be read or has a mistake, or settings contradict each other.
    pub fn new(flags: &Serve) -> Result<Self> {
        let file = File::read(flags.common.config.as_deref())?;
        let retention = retention(&flags.keep, &file)?;
        let limits = Limits::default();
        let base = Base::resolve(&flags.common, &file)?;
        let rollup = flags.rollup.or(file.rollup).unwrap_or_default();
        ensure!(
            rollup == By::Builtin || base.store != Place::Sqlite,
            "workers share a store with the server, which SQLite can't be: leave --rollup at builtin, or store in Cassandra"
        );
        Ok(Self {
            log: Log::new(&flags.log, &file),
            base,
            rollup,
            consul: consul(flags, &file)?,
            listen: flags
                .listen
                .or(file.listen)
                .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 8_080).into()),
            retention,
            durability: flags.durability.or(file.durability).unwrap_or_default(),
            limits: Limits {
                body: flags.max_body.or(file.max_body).unwrap_or(limits.body),
                posts: flags.max_posts.or(file.max_posts).unwrap_or(limits.posts),
                reads: flags.max_reads.or(file.max_reads).unwrap_or(limits.reads),
                ..limits
            },
            auth_disable: flags.auth_disable || file.auth_disable.unwrap_or(false),
        })
    }
}

impl Work {
    /// Decides by flags and file.
    ///
    /// # Errors
    /// When the file can't be read or has a mistake, or the store is one that workers can't share.
    pub fn new(
        common: &Common,
        broker: flags::Broker,
        keep: &Keep,
        log: &flags::Log,
    ) -> Result<Self> {
        let file = File::read(common.config.as_deref())?;
        let base = Base::resolve(common, &file)?;
        let Place::Cassandra(store) = base.store else {
            bail!(
                "the server on SQLite rolls up by itself: workers need a store that they share with it, as --store cassandra:HOST,…/KEYSPACE"
            );
        };
        let retention = retention(keep, &file)?;
        Ok(Self {
            store,
            consistency: base.consistency,
            retention,
            log: Log::new(log, &file),
            broker: Broker {
                host: or(broker.rabbitmq_host, file.rabbitmq_host, "localhost"),
                port: broker.rabbitmq_port.or(file.rabbitmq_port).unwrap_or(5_672),
                vhost: or(broker.rabbitmq_vhost, file.rabbitmq_vhost, "/"),
                user: or(broker.rabbitmq_user, file.rabbitmq_user, "guest"),
                password: or(broker.rabbitmq_password, file.rabbitmq_password, "guest"),
                queue: or(broker.rabbitmq_queue, file.rabbitmq_queue, "bubble-rollup"),
            },
        })
    }
}

impl Log {
    fn new(flags: &flags::Log, file: &File) -> Self {
        Self {
            filter: or(flags.log.clone(), file.log.clone(), "info"),
            json: flags.log_json || file.log_json.unwrap_or(false),
        }
    }
}

fn consul(flags: &Serve, file: &File) -> Result<Option<Wanted>> {
    let given = |url: &String| {
        url.parse()
            .with_context(|| format!("consul = {url:?} is not a URL"))
    };
    let of_file = file.consul.as_ref().map(given).transpose()?;
    let set = |flag: &Option<String>, file: &Option<String>| flag.clone().or_else(|| file.clone());
    let service = set(&flags.consul_service, &file.consul_service);
    let token = flags.consul_token.clone();
    Ok(flags.consul.clone().or(of_file).map(|consul| Wanted {
        consul,
        service: service.unwrap_or_else(|| "bubble-server".to_owned()),
        address: set(&flags.consul_address, &file.consul_address),
        token: token.or_else(|| file.consul_token.clone()),
    }))
}

fn or<T: From<&'static str>>(flag: Option<T>, file: Option<T>, default: &'static str) -> T {
    flag.or(file).unwrap_or_else(|| default.into())
}

/// How long each resolution is kept, by flags and the file of settings.
///
/// # Errors
/// When the file can't be read or has a mistake, or it is too short.
pub fn retention_of(keep: &Keep, common: &Common) -> Result<Retention> {
    retention(keep, &File::read(common.config.as_deref())?)
}

fn retention(keep: &Keep, file: &File) -> Result<Retention> {
    let period = |flag: Option<duration::Period>, file: Option<duration::Period>, default| {
        flag.or(file).map_or(default, |period| period.0)
    };
    let default = Retention::default();
    let retention = Retention {
        seconds: period(
            keep.retention_seconds,
            file.retention_seconds,
            default.seconds,
        ),
        minutes: period(
            keep.retention_minutes,
            file.retention_minutes,
            default.minutes,
        ),
        hours: period(keep.retention_hours, file.retention_hours, default.hours),
    };
    ensure!(
        retention.seconds >= 300,
        "retention-seconds must be at least 5m: what is not rolled up yet must not expire"
    );
    ensure!(
        retention.minutes >= 7_200 && retention.hours >= 2 * 86_400,
        "retention-minutes must be at least 2h, and retention-hours at least 2d"
    );
    Ok(retention)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::flags::{Cli, Command, Retention};
    use super::{Settings, Work};

    /// A file of settings, for as long as a test needs it.
    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    fn command(words: &[&str], file: &tempfile::NamedTempFile) -> Command {
        let path = file.path().to_str().expect("text");
        let words = [&["bubble-server"], words, &["--config", path]].concat();
        Cli::try_parse_from(words).expect("a command line").command
    }

    #[test]
    fn a_flag_counts_more_than_the_file_and_that_more_than_the_default() {
        let file = file(
            "store = 'cassandra:db/k'\nrollup = 'workers'\nrabbitmq_host = 'a'\nrabbitmq_port = 1\n\
             rabbitmq_password = 'hidden'\nconsul = 'http://c:1'\nconsul_service = 'd'\n",
        );
        let words = ["retention", "listen", "--rabbitmq-host", "b"];
        let Command::Retention {
            common,
            command: what,
        } = command(&words, &file)
        else {
            panic!("another command");
        };
        let Retention::Listen {
            broker, keep, log, ..
        } = what
        else {
            panic!("another command");
        };
        let broker = Work::new(&common, broker, &keep, &log)
            .expect("settings")
            .broker;
        assert_eq!(broker.to_string(), "b:1, queue bubble-rollup");
        assert_eq!(broker.password.shown(), "hidden");
        assert!(!format!("{broker:?}").contains("hidden"));

        let Command::Serve(flags) = command(&["serve", "--consul", "http://e:2"], &file) else {
            panic!("another command");
        };
        let consul = Settings::new(&flags).expect("settings").consul;
        let consul = consul.expect("a registration");
        assert_eq!(consul.consul.as_str(), "http://e:2/");
        assert_eq!(consul.service, "d");
    }
}
