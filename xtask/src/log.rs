//! The log file of a program that runs in the background: all of its output.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// Maximum number of lines that an error quotes.
const MAX_QUOTED_LINES: usize = 10;

pub(crate) struct Log(PathBuf);

impl Log {
    /// The log at `path`. Its folder must exist.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Creates the file anew, and redirects the command's output to it.
    pub(crate) fn capture(&self, command: &mut Command) -> Result<()> {
        let file = fs::File::create(&self.0)
            .with_context(|| format!("cannot write {}", self.0.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("cannot share the log")?)
            .stderr(file);
        Ok(())
    }

    /// The messages of all lines of level WARN.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split_once(" WARN "))
            .map(|(_, message)| message.to_owned())
            .collect()
    }

    /// Its last lines, for an error.
    pub(crate) fn end(&self) -> String {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(MAX_QUOTED_LINES)..].join("\n");
        format!("the end of {}:\n{last}", self.0.display())
    }
}
