//! The file of settings: its values take the place of the flags' defaults.
//!
//! A key is the name of a flag, with `_` for `-`; a flag is a setting if it has an
//! environment variable. Every value is checked by its flag's own parser, those of other
//! commands too. An unknown key is refused: a mistyped setting would have no effect.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::Resettable;
use clap::error::ContextKind;
use clap::{Arg, ArgAction, Command};
use toml::{Spanned, Value};

/// The one setting that the file cannot have: where it is itself.
const CONFIG: &str = "config";

/// Defaults other than those that the flags are declared with, by the flag's id.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    values: BTreeMap<String, String>,
    /// Flags whose variable is ignored, because it is empty.
    ignored: BTreeSet<String>,
}

impl Defaults {
    /// The values in the file at `path`, as far as `command` and its subcommands have such settings.
    ///
    /// # Errors
    /// When the file cannot be read, or has an unknown key or an invalid value.
    pub(super) fn read(command: &Command, path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings in {name}"))?;
        let line_of = |at: usize| text[..at].matches('\n').count() + 1;
        // Without the text that the parser would quote: it may be a secret.
        let entries: BTreeMap<Spanned<String>, Value> = toml::from_str(&text).map_err(|error| {
            let line = line_of(error.span().map_or(0, |span| span.start));
            anyhow!("{name}, line {line}: not valid TOML: {}", error.message())
        })?;
        let settings = Settings::of(command);
        let mut defaults = Self::default();
        for (key, value) in entries {
            let line = line_of(key.span().start);
            let key = key.into_inner();
            let value = settings
                .check(&key, &value)
                .with_context(|| format!("{name}, line {line}"))?;
            defaults.set(&key, value);
        }
        Ok(defaults)
    }

    /// Replaces the default of one setting.
    pub(super) fn set(&mut self, id: &str, value: String) {
        self.values.insert(id.to_owned(), value);
    }

    /// Ignores the environment variable of one setting.
    pub(super) fn ignore_variable(&mut self, id: &str) {
        self.ignored.insert(id.to_owned());
    }

    /// `command` with these defaults, in its subcommands as well.
    pub(super) fn apply(&self, command: Command) -> Command {
        command
            .mut_args(|arg| {
                let id = arg.get_id().as_str().to_owned();
                let arg = match self.values.get(&id) {
                    Some(value) => arg.default_value(value.clone()),
                    None => arg,
                };
                match self.ignored.contains(&id) {
                    true => arg.env(Resettable::Reset),
                    false => arg,
                }
            })
            .mut_subcommands(|below| self.apply(below))
    }
}

/// All settings, each once, as flags of a command that is never run.
struct Settings {
    checker: Command,
    keys: BTreeMap<String, Arg>,
}

impl Settings {
    fn of(command: &Command) -> Self {
        let mut keys = BTreeMap::new();
        collect(command, &mut keys);
        let checker = Command::new("settings")
            .no_binary_name(true)
            .disable_help_flag(true)
            .args(keys.values());
        Self { checker, keys }
    }

    /// The value as the flag takes it.
    fn check(&self, key: &str, value: &Value) -> Result<String> {
        let Some(setting) = self.keys.get(key) else {
            bail!("unknown setting {key:?}{}", self.hint(key));
        };
        let switch = matches!(setting.get_action(), ArgAction::SetTrue);
        let (text, word) = match value {
            Value::Boolean(on) if switch => (on.to_string(), on.then(|| flag(key))),
            _ if switch => bail!("{key} must be true or false"),
            Value::String(text) => (text.clone(), Some(format!("{}={text}", flag(key)))),
            Value::Integer(number) => (number.to_string(), Some(format!("{}={number}", flag(key)))),
            _ => bail!("{key} must be text or a whole number"),
        };
        let checked = self.checker.clone().try_get_matches_from(word);
        checked.map(|_| text).map_err(|error| {
            let text = error.to_string();
            let lines = text.lines().take_while(|line| !line.is_empty());
            let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
            anyhow!("{}", line.trim_start_matches("error: ").to_owned())
        })
    }

    /// Which known setting an unknown one may mean, else all of them.
    fn hint(&self, key: &str) -> String {
        let tried = self.checker.clone().try_get_matches_from([flag(key)]);
        let similar = tried.err().and_then(|error| {
            let similar = error.get(ContextKind::SuggestedArg)?.to_string();
            Some(similar.trim_start_matches('-').replace('-', "_"))
        });
        match similar {
            Some(similar) => format!(": did you mean {similar:?}?"),
            None => {
                let keys: Vec<&str> = self.keys.keys().map(String::as_str).collect();
                format!(": the known ones are {}", keys.join(", "))
            }
        }
    }
}

/// The settings of `command` and of its subcommands, without their variables: only the file is checked.
fn collect(command: &Command, keys: &mut BTreeMap<String, Arg>) {
    for arg in command.get_arguments() {
        if arg.get_env().is_some() && arg.get_id() != CONFIG {
            let setting = arg.clone().global(false).env(Resettable::Reset);
            keys.insert(arg.get_id().to_string(), setting);
        }
    }
    for below in command.get_subcommands() {
        collect(below, keys);
    }
}

fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}
