//! Settings: a flag goes before the environment, that before the file, that before the default.
//!
//! Each setting is declared once, as a field in [`settings`]: flag, variable, default and key
//! of the file all come from there. [`parse`] gives clap the values of the file in place of
//! the defaults ([`file`]), so that clap alone decides which value counts.

pub mod cli;
mod file;
pub mod legacy;
pub mod period;
pub mod settings;
pub mod store;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use cli::Cli;
use file::Defaults;

/// Reads the program's command line, environment and file of settings. Like clap, exits after
/// `--help` and after a mistake in the command line.
///
/// # Errors
/// When the file of settings, or a variable of the Python system, cannot be used.
pub fn parse() -> Result<Cli> {
    let parsed = parse_from(std::env::args_os(), |name| std::env::var(name).ok());
    parsed.map_err(|error| match error.downcast::<clap::Error>() {
        Ok(mistake) => mistake.exit(),
        Err(error) => error,
    })
}

/// Parses twice: first to find the file of settings, then with its values as defaults.
fn parse_from(
    words: impl IntoIterator<Item: Into<OsString>>,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Cli> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let command = Cli::command();
    let given = Given(command.clone().try_get_matches_from(&words)?);
    let mut defaults = match given.config() {
        Some(path) => Defaults::read(&command, &path)?,
        None => Defaults::default(),
    };
    if given.is_empty_variable("secret") {
        defaults.ignore_variable("secret");
    }
    if (!given.has("secret") || given.is_empty_variable("secret"))
        && let Some(secret) = variable(legacy::SECRET).filter(|text| !text.is_empty())
    {
        defaults.set("secret", secret);
    }
    if !given.has("store")
        && let Some(store) = legacy::store(variable)?
    {
        defaults.set("store", store.to_string());
    }
    let matches = defaults.apply(command).try_get_matches_from(&words)?;
    Ok(Cli::from_arg_matches(&matches)?)
}

/// What the command line and the environment give.
struct Given(ArgMatches);

impl Given {
    /// The command and its subcommands: each has only its own flags.
    fn levels(&self) -> impl Iterator<Item = &ArgMatches> {
        std::iter::successors(Some(&self.0), |level| {
            level.subcommand().map(|(_, below)| below)
        })
    }

    fn config(&self) -> Option<PathBuf> {
        let path = |level: &ArgMatches| level.try_get_one::<PathBuf>("config").ok()?.cloned();
        self.levels().find_map(path)
    }

    /// Whether the variable of this setting is set to nothing.
    fn is_empty_variable(&self, id: &str) -> bool {
        self.levels().any(|level| {
            let value = level.try_get_one::<String>(id).ok().flatten();
            value.is_some_and(String::is_empty)
                && level.value_source(id) == Some(ValueSource::EnvVariable)
        })
    }

    /// Whether this setting is given, rather than left at its default.
    fn has(&self, id: &str) -> bool {
        self.levels().any(|level| {
            level.try_contains_id(id).is_ok_and(|present| present)
                && level.value_source(id) != Some(ValueSource::DefaultValue)
        })
    }
}

#[cfg(test)]
mod tests;
