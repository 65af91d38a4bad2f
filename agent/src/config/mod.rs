//! The settings in force: flag over environment over file over default.
//!
//! [`settings`] declares them, [`file`] reads the file, and here they are resolved.

mod file;
pub mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use self::settings::{CgroupRule, HookFamily, Settings, SourceKind};
use crate::container::glob::Glob;
use crate::container::rule::{Rules, UserRule};
use crate::source::ebpf;
use crate::source::ebpf::hook::Family;

const DEFAULT_SPOOL: &str = "/var/lib/bubble-agent/spool";
const DEFAULT_SPOOL_MAX: u64 = 256 << 20;
const DEFAULT_DELIVER_EVERY: u64 = 10;
const MAX_DELIVER_EVERY: u64 = 60;
/// In place of the folder of pins: nothing is pinned.
const NO_PINS: &str = "none";
const DEFAULT_DOCKER: &str = "/var/run/docker.sock";

/// The settings in force.
#[derive(Debug, Clone)]
pub struct Config {
    /// URL of the server, without a slash at the end.
    pub server: Option<String>,
    /// The API key.
    pub api: Option<String>,
    /// Certificates of the user's own authority.
    pub ca: Option<PathBuf>,
    /// Where the numbers come from.
    pub source: SourceKind,
    /// Options of the eBPF source.
    pub ebpf: ebpf::Options,
    /// Whether the kernel goes on counting when the agent is stopped.
    pub keep_counting: bool,
    /// The spool's folder.
    pub spool: PathBuf,
    /// Maximum size of the spool in bytes.
    pub spool_max: u64,
    /// Interval of delivery.
    pub deliver_every: Duration,
    /// Which cgroups are containers.
    pub rules: Rules,
    /// Whether the host is shown as a container.
    pub include_host: bool,
    /// Whether to count beside another agent of this host.
    pub beside_others: bool,
    /// Docker's socket.
    pub docker: PathBuf,
    /// Name of this host.
    pub host: String,
    /// Where the agent's own metrics are served.
    pub metrics_listen: Option<SocketAddr>,
}

impl Config {
    /// Completes the settings of command line and environment by the configuration file and the
    /// defaults.
    ///
    /// # Errors
    /// When a file cannot be read, has an unknown key, or a value is invalid.
    pub fn resolve(given: Settings) -> Result<Self> {
        let file = file::read(given.config.as_deref())?;
        Self::complete(given.or(file))
    }

    /// As [`Self::resolve`], but only a configuration file that was named counts: the one of the host
    /// is for the agent that counts all of it.
    ///
    /// # Errors
    /// When a file cannot be read, has an unknown key, or a value is invalid.
    pub fn resolve_given(given: Settings) -> Result<Self> {
        match given.config {
            Some(_) => Self::resolve(given),
            None => Self::complete(given),
        }
    }

    /// Completes the settings by the defaults.
    fn complete(settings: Settings) -> Result<Self> {
        let host = settings.host.unwrap_or_else(host_name);
        let api = match (settings.api, settings.api_file) {
            (Some(key), _) => Some(key),
            (None, Some(path)) => Some(
                std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read the API key from {}", path.display()))?
                    .trim()
                    .to_owned(),
            ),
            (None, None) => None,
        };
        Ok(Self {
            server: settings.server.map(checked_url).transpose()?,
            api,
            ca: settings.ca,
            source: settings.source.unwrap_or(SourceKind::Auto),
            ebpf: ebpf::Options {
                family: match settings.hooks.unwrap_or(HookFamily::Auto) {
                    HookFamily::Auto => None,
                    HookFamily::Vfs => Some(Family::Vfs),
                    HookFamily::Syscall => Some(Family::Syscall),
                },
                pins: Some(settings.pins.unwrap_or_else(|| NO_PINS.into()))
                    .filter(|folder| folder.as_os_str() != NO_PINS),
                ..ebpf::Options::default()
            },
            keep_counting: settings.keep_counting,
            spool: settings.spool.unwrap_or_else(|| DEFAULT_SPOOL.into()),
            spool_max: settings.spool_max.unwrap_or(DEFAULT_SPOOL_MAX),
            deliver_every: delivery_interval(settings.deliver_every)?,
            rules: Rules {
                host: host.clone(),
                systemd: settings.systemd,
                user: user_rules(settings.cgroup, settings.containers),
                only: None,
            },
            include_host: settings.include_host,
            beside_others: settings.beside_others,
            docker: settings.docker.unwrap_or_else(|| DEFAULT_DOCKER.into()),
            host,
            metrics_listen: settings.metrics_listen,
        })
    }
}

/// The interval of delivery in `seconds`, checked.
fn delivery_interval(seconds: Option<u64>) -> Result<Duration> {
    let seconds = seconds.unwrap_or(DEFAULT_DELIVER_EVERY);
    if !(1..=MAX_DELIVER_EVERY).contains(&seconds) {
        bail!("--deliver-every is {seconds}: give 1 to {MAX_DELIVER_EVERY} seconds");
    }
    Ok(Duration::from_secs(seconds))
}

fn checked_url(url: String) -> Result<String> {
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        bail!("the server's URL {url:?} must begin with http:// or https://");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Rules from `--cgroup` and from the file's `[[containers]]`; the first that matches names a cgroup.
fn user_rules(patterns: Vec<String>, rules: Vec<CgroupRule>) -> Vec<UserRule> {
    let unnamed = patterns
        .into_iter()
        .map(|cgroup| CgroupRule { cgroup, name: None });
    unnamed
        .chain(rules)
        .map(|rule| UserRule {
            pattern: Glob::new(&rule.cgroup),
            name: rule.name,
        })
        .collect()
}

/// The host's name according to the kernel.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Config;
    use super::settings::{Settings, SourceKind};
    use crate::source::ebpf::hook::Family;

    /// The settings as flags alone.
    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }

    fn resolve(args: &[&str]) -> anyhow::Result<Config> {
        let args = ["bubble-agent"].iter().chain(args);
        Config::resolve(Flags::try_parse_from(args)?.settings)
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
        assert_eq!(config.source, SourceKind::Auto);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        for (line, expected) in [
            ("sever = 1", "\"sever\": did you mean \"server\"?"),
            ("spool-max = 1", "did you mean \"spool_max\"?"),
            ("zzzzzzzzzzzzzzzzz = 1", "the known ones are server, api"),
            ("host = 'a'\nspool-max = 1", "in line 2: "),
            ("api_kye = 'secret'", "\"api_kye\""),
            (
                "[[containers]]\ncgrop = '/x'",
                "\"cgrop\": did you mean \"cgroup\"?",
            ),
        ] {
            let (_folder, path) = file(line);
            let error = format!("{:#}", resolve(&["--config", &path]).unwrap_err());
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_flag_is_a_key_of_the_file() {
        // Patterns are `[[containers]]` there, and a file does not name another.
        let elsewhere = ["cgroup", "config"];
        let flags = Flags::command();
        let flags = flags.get_arguments().map(|flag| flag.get_id().as_str());
        for flag in flags.filter(|flag| !["help", "version"].contains(flag)) {
            // A wrong type is an error for each of them.
            let (_folder, path) = file(&format!("{flag} = 1.5"));
            let error = format!("{:#}", resolve(&["--config", &path]).unwrap_err());
            let unknown = error.contains("unknown key");
            assert_eq!(unknown, elsewhere.contains(&flag), "{flag}: {error}");
        }
    }

    #[test]
    fn the_help_names_the_defaults() {
        let (_folder, path) = file("");
        let config = resolve(&["--config", &path]).unwrap();
        let help = Flags::command().render_long_help().to_string();
        for default in [
            config.spool.display().to_string(),
            config.spool_max.to_string(),
            config.deliver_every.as_secs().to_string(),
            config.docker.display().to_string(),
        ] {
            assert!(help.contains(&format!("[default: {default}]")), "{help}");
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
    fn the_interval_of_delivery_is_bounded() {
        let (_folder, path) = file("deliver_every = 60\n");
        let config = resolve(&["--config", &path]).unwrap();
        assert_eq!(config.deliver_every.as_secs(), 60);
        for seconds in ["0", "61"] {
            let error = resolve(&["--config", &path, "--deliver-every", seconds]).unwrap_err();
            assert!(error.to_string().contains("1 to 60"), "{error}");
        }
    }

    #[test]
    fn patterns_become_rules() {
        let (_folder, path) = file("[[containers]]\ncgroup = \"/batch/*\"\nname = \"job\"\n");
        let config = resolve(&["--config", &path, "--cgroup", "/a,/b"]).unwrap();
        assert_eq!(config.rules.user.len(), 3);
        assert_eq!(config.rules.user[2].name.as_deref(), Some("job"));
    }
}
