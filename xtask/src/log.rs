//! The log of a program that runs beside a command, or after it: all that it prints, in one file.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

/// How many lines are shown of it.
const LAST_LINES: usize = 10;

pub(crate) struct Log(PathBuf);

impl Log {
    /// The log at `path`, whose folder is there.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes it anew, and lets a command print into it.
    pub(crate) fn take(&self, command: &mut Command) -> Result<()> {
        let file = fs::File::create(&self.0)
            .with_context(|| format!("cannot write {}", self.0.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("cannot share the log")?)
            .stderr(file);
        Ok(())
    }

    /// Its end, for an error.
    pub(crate) fn end(&self) -> String {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        format!("the end of {}:\n{last}", self.0.display())
    }
}
