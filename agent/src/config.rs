//! What the user chose: flag before environment before file before default,
//! resolved here and nowhere else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

use crate::analyse;
use crate::container::glob::Glob;
use crate::container::rule::{Rules, UserRule};
use crate::source::ebpf;
use crate::source::ebpf::hooks::Family;

/// The file that is read when none is named and it is there.
const FILE: &str = "/etc/bubble-agent.toml";
const SPOOL: &str = "/var/lib/bubble-agent/spool";
const SPOOL_MAX: u64 = 256 << 20;
const DOCKER: &str = "/var/run/docker.sock";

/// Counts what the containers of this host do, second by second, and posts it to bubble-server
///
/// Needs root (in Docker: --privileged). Each setting is a flag, or an environment variable, or a
/// line of the configuration file, in this order of precedence.
#[derive(Debug, Parser)]
#[command(name = "bubble-agent", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    /// What to do; counts and posts when there is none.
    pub command: Option<Command>,
    #[command(flatten)]
    /// The settings as typed.
    pub flags: Flags,
}

/// What to do instead of counting.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this host lets the agent count, which hook gives which number, and what is missing
    Doctor {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Take in a recording: a capture, or what sysdig printed
    ///
    /// Reads captures of sysdig and Falco (.scap) and what sysdig -pc -j (JSON) and sysdig -pc -t a
    /// (text) print, gzipped or not; posts it to the server, which keeps it until someone deletes it,
    /// or prints a report.
    ///
    /// Exit codes: 0 all was read; 1 nothing could be, or it could not be handed on; 2 the command
    /// line is wrong; 3 the recording is damaged or cut short, and what could be read was taken.
    Analyse(analyse::flags::Flags),
}

/// The settings as typed, or as the environment has them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// Where bubble-server listens, such as https://bubble.example:8080
    #[arg(long, global = true, env = "BUBBLE_SERVER", value_name = "URL")]
    server: Option<String>,
    /// The API key (bubble-server key create); a flag can be seen by all users of this host
    #[arg(
        long,
        global = true,
        env = "BUBBLE_API",
        value_name = "KEY",
        hide_env_values = true
    )]
    api: Option<String>,
    /// A file that has the API key
    #[arg(long, global = true, env = "BUBBLE_API_FILE", value_name = "FILE")]
    api_file: Option<PathBuf>,
    /// Certificates (PEM) of an authority of your own that signed the server's
    #[arg(long, global = true, env = "BUBBLE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where the numbers come from; auto: eBPF, and procfs where the kernel refuses it
    #[arg(long, global = true, env = "BUBBLE_SOURCE", value_enum)]
    source: Option<Choice>,
    /// Family of eBPF hooks; auto: vfs, and syscall where the kernel refuses trampolines
    #[arg(long, global = true, env = "BUBBLE_HOOKS", value_enum)]
    hooks: Option<Hooks>,
    /// The folder of what waits to be sent [default: /var/lib/bubble-agent/spool]
    #[arg(long, global = true, env = "BUBBLE_SPOOL", value_name = "FOLDER")]
    spool: Option<PathBuf>,
    /// Most bytes that wait there; beyond, the oldest become coarser [default: 268435456]
    #[arg(long, global = true, env = "BUBBLE_SPOOL_MAX", value_name = "BYTES")]
    spool_max: Option<u64>,
    /// Cgroups that are shown as containers too: a pattern of their path, such as /batch/*
    #[arg(
        long,
        global = true,
        env = "BUBBLE_CGROUP",
        value_name = "PATTERN",
        value_delimiter = ','
    )]
    cgroup: Vec<String>,
    /// Show systemd's units as containers too
    #[arg(long, global = true, env = "BUBBLE_SYSTEMD")]
    systemd: bool,
    /// Show the host's own processes too, as a container of the host's name
    #[arg(long, global = true, env = "BUBBLE_INCLUDE_HOST")]
    include_host: bool,
    /// Docker's socket, for names and images [default: /var/run/docker.sock]
    #[arg(long, global = true, env = "BUBBLE_DOCKER", value_name = "SOCKET")]
    docker: Option<PathBuf>,
    /// What this host is called [default: its host name]
    #[arg(long, global = true, env = "BUBBLE_HOST", value_name = "NAME")]
    host: Option<String>,
    /// Serve the agent's own metrics (Prometheus) at this address
    #[arg(
        long,
        global = true,
        env = "BUBBLE_METRICS_LISTEN",
        value_name = "ADDRESS"
    )]
    metrics_listen: Option<SocketAddr>,
    /// The configuration file (TOML) [default: /etc/bubble-agent.toml, if it is there]
    #[arg(long, global = true, env = "BUBBLE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Keys of the configuration file: the fields of [`File`].
const KEYS: [&str; 14] = [
    "server",
    "api",
    "api_file",
    "ca",
    "source",
    "hooks",
    "spool",
    "spool_max",
    "systemd",
    "include_host",
    "docker",
    "host",
    "metrics_listen",
    "containers",
];

/// The configuration file: the flags' names with underscores.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: Option<String>,
    api: Option<String>,
    api_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    source: Option<Choice>,
    hooks: Option<Hooks>,
    spool: Option<PathBuf>,
    spool_max: Option<u64>,
    systemd: Option<bool>,
    include_host: Option<bool>,
    docker: Option<PathBuf>,
    host: Option<String>,
    metrics_listen: Option<SocketAddr>,
    #[serde(default)]
    containers: Vec<Rule>,
}

/// A `[[containers]]` of the file: cgroups that are shown as containers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    cgroup: String,
    name: Option<String>,
}

/// Where the numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// eBPF, and procfs where the kernel refuses it.
    Auto,
    /// eBPF or nothing.
    Ebpf,
    /// What /proc and the cgroups tell.
    Procfs,
}

/// Family of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hooks {
    /// By probing.
    Auto,
    /// Functions of the virtual file system.
    Vfs,
    /// The end of each system call.
    Syscall,
}

/// The settings, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the server is, without a slash at the end; absent when not given.
    pub server: Option<String>,
    /// The API key; absent when not given.
    pub api: Option<String>,
    /// Certificates of the user's own authority.
    pub ca: Option<PathBuf>,
    /// Where the numbers come from.
    pub source: Choice,
    /// What the eBPF source is told.
    pub ebpf: ebpf::Options,
    /// The spool's folder.
    pub spool: PathBuf,
    /// The spool's bound in bytes.
    pub spool_max: u64,
    /// What is taken for a container.
    pub rules: Rules,
    /// Whether the host is shown as a container.
    pub include_host: bool,
    /// Docker's socket.
    pub docker: PathBuf,
    /// What the host is called.
    pub host: String,
    /// Where the agent's own metrics are served.
    pub metrics_listen: Option<SocketAddr>,
}

impl Config {
    /// Resolves what was typed with the configuration file and the defaults.
    ///
    /// # Errors
    /// When the file cannot be read, has a key that does not exist, or a value is of no use.
    pub fn resolve(flags: Flags) -> Result<Self> {
        let file = File::read(flags.config.as_deref())?;
        let host = flags.host.or(file.host).unwrap_or_else(host_name);
        let file_key = flags.api_file.or(file.api_file);
        let api = match (flags.api.or(file.api), file_key) {
            (Some(key), _) => Some(key),
            (None, Some(path)) => Some(
                std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read the API key from {}", path.display()))?
                    .trim()
                    .to_owned(),
            ),
            (None, None) => None,
        };
        let server = flags.server.or(file.server);
        if let Some(url) = &server
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            bail!("the server's URL {url:?} begins with neither http:// nor https://");
        }
        let typed = flags
            .cgroup
            .into_iter()
            .map(|cgroup| Rule { cgroup, name: None });
        let user = typed
            .chain(file.containers)
            .map(|rule| UserRule {
                pattern: Glob::new(&rule.cgroup),
                name: rule.name,
            })
            .collect();
        let family = match flags.hooks.or(file.hooks).unwrap_or(Hooks::Auto) {
            Hooks::Auto => None,
            Hooks::Vfs => Some(Family::Vfs),
            Hooks::Syscall => Some(Family::Syscall),
        };
        Ok(Self {
            server: server.map(|url| url.trim_end_matches('/').to_owned()),
            api,
            ca: flags.ca.or(file.ca),
            source: flags.source.or(file.source).unwrap_or(Choice::Auto),
            ebpf: ebpf::Options {
                family,
                ..ebpf::Options::default()
            },
            spool: flags.spool.or(file.spool).unwrap_or_else(|| SPOOL.into()),
            spool_max: flags.spool_max.or(file.spool_max).unwrap_or(SPOOL_MAX),
            rules: Rules {
                host: host.clone(),
                systemd: flags.systemd || file.systemd.unwrap_or(false),
                user,
            },
            include_host: flags.include_host || file.include_host.unwrap_or(false),
            docker: flags
                .docker
                .or(file.docker)
                .unwrap_or_else(|| DOCKER.into()),
            host,
            metrics_listen: flags.metrics_listen.or(file.metrics_listen),
        })
    }
}

impl File {
    /// The file at `named`, or the default one, which need not be there.
    fn read(named: Option<&Path>) -> Result<Self> {
        let path = named.unwrap_or(Path::new(FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read the configuration {}", path.display()));
            }
        };
        let table: toml::Table = toml::from_str(&text)
            .with_context(|| format!("the configuration {} is not right", path.display()))?;
        for key in table.keys() {
            if !KEYS.contains(&key.as_str()) {
                let hint = match nearest(key) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("the known ones are {}", KEYS.join(", ")),
                };
                bail!(
                    "the configuration {} has an unknown key {key:?}: {hint}",
                    path.display()
                );
            }
        }
        toml::from_str(&text)
            .with_context(|| format!("the configuration {} is not right", path.display()))
    }
}

/// The known key that is most like `wrong`, if one is at all.
fn nearest(wrong: &str) -> Option<&'static str> {
    let wrong = wrong.replace('-', "_");
    KEYS.iter()
        .map(|key| (distance(&wrong, key), *key))
        .filter(|(distance, key)| *distance <= key.len().max(wrong.len()) / 2)
        .min()
        .map(|(_, key)| key)
}

/// How many letters must be put in, left out or changed to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// The host's name, as the kernel has it.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{Choice, Cli, Config, KEYS};
    use crate::source::ebpf::hooks::Family;

    fn resolve(args: &[&str]) -> anyhow::Result<Config> {
        let args = ["bubble-agent"].iter().chain(args);
        Config::resolve(Cli::try_parse_from(args)?.flags)
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (folder, path)
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        let (_folder, path) = file("server = \"http://a/\"\nhooks = \"vfs\"\nspool_max = 7\n");
        let config = resolve(&["--config", &path, "--server", "https://b"]).unwrap();
        assert_eq!(config.server.as_deref(), Some("https://b"));
        assert_eq!(config.ebpf.family, Some(Family::Vfs));
        assert_eq!(config.spool_max, 7);
        assert_eq!(config.source, Choice::Auto);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        for (line, expected) in [
            ("sever = 1", "\"sever\": did you mean \"server\"?"),
            ("spool-max = 1", "did you mean \"spool_max\"?"),
            ("zzzzzzzzzzzzzzzzz = 1", "the known ones are server, api"),
            ("[[containers]]\ncgrop = '/x'", "cgrop"),
        ] {
            let (_folder, path) = file(line);
            let error = format!("{:#}", resolve(&["--config", &path]).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn every_key_is_known_to_the_file() {
        // Each is a field: what is wrong with it is its value, and not its name.
        for key in KEYS {
            let (_folder, path) = file(&format!("{key} = 1.5"));
            let error = format!("{:#}", resolve(&["--config", &path]).unwrap_err());
            assert!(!error.contains("unknown"), "{key}: {error}");
        }
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let error = format!(
            "{:#}",
            resolve(&["--config", "/nowhere/agent.toml"]).unwrap_err()
        );
        assert!(error.contains("/nowhere/agent.toml"), "{error}");
    }

    #[test]
    fn the_key_may_be_in_a_file() {
        let (_folder, path) = file("secret\n");
        let config = resolve(&["--api-file", &path]).unwrap();
        assert_eq!(config.api.as_deref(), Some("secret"));
    }

    #[test]
    fn a_url_needs_its_scheme() {
        assert!(resolve(&["--server", "bubble:8080"]).is_err());
    }

    #[test]
    fn patterns_become_rules() {
        let (_folder, path) = file("[[containers]]\ncgroup = \"/batch/*\"\nname = \"job\"\n");
        let config = resolve(&["--config", &path, "--cgroup", "/a,/b"]).unwrap();
        assert_eq!(config.rules.user.len(), 3);
        assert_eq!(config.rules.user[2].name.as_deref(), Some("job"));
    }
}
