//! Reads the configuration file. An unknown key is an error: a mistyped setting must not be ignored.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use super::settings::Settings;

/// The file that is read if none is named.
const DEFAULT_PATH: &str = "/etc/bubble-agent.toml";
/// Two keys are similar above this, from 0 to 1; clap suggests flags above the same.
const MIN_SIMILARITY: f64 = 0.7;

/// The settings in the file at `named`, or in the default one, which may be absent.
pub(super) fn read(named: Option<&Path>) -> Result<Settings> {
    let path = named.unwrap_or(Path::new(DEFAULT_PATH));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Settings::default());
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot read the configuration {}", path.display()));
        }
    };
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| {
            1 + text[..span.start]
                .bytes()
                .filter(|byte| *byte == b'\n')
                .count()
        });
        anyhow!(
            "the configuration {} is wrong in line {line}: {}",
            path.display(),
            explain(error.message())
        )
    })
}

/// The parser's message, in which an unknown key becomes a suggestion. The file's text stays out of
/// it, as the key may be a secret's.
fn explain(message: &str) -> String {
    // unknown field `sever`, expected one of `server`, `api`, …
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (true, Some(wrong)) = (message.starts_with("unknown field"), quoted.next()) else {
        return message.to_owned();
    };
    let known: Vec<&str> = quoted.collect();
    match most_similar(wrong, &known) {
        Some(similar) => format!("unknown key {wrong:?}: did you mean {similar:?}?"),
        None => format!(
            "unknown key {wrong:?}: the known ones are {}",
            known.join(", ")
        ),
    }
}

/// The known key that is most similar to `wrong`. `None`: no key is similar.
fn most_similar<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let wrong = wrong.replace('-', "_");
    known
        .iter()
        .map(|key| (strsim::jaro(&wrong, key), *key))
        .filter(|(similarity, _)| *similarity > MIN_SIMILARITY)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, key)| key)
}
