//! `bubble-agent doctor`: what this host lets the agent count, and why.

mod findings;
mod text;
mod verdict;

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

use self::findings::examine;
use crate::config::Config;

/// How the findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The verdict, and what is missing.
    Short,
    /// Every hook as well.
    Verbose,
    /// For programs.
    Json,
}

/// Prints the findings and returns whether the agent can count by eBPF and post.
///
/// # Errors
/// When the findings cannot be printed. A reader that closes the pipe is no error.
pub fn run(config: &Config, format: Format) -> Result<bool> {
    let findings = examine(config);
    let text = match format {
        Format::Short => text::render(&findings, false),
        Format::Verbose => text::render(&findings, true),
        Format::Json => serde_json::to_string_pretty(&findings)? + "\n",
    };
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error).context("cannot print the findings");
        }
        _ => {}
    }
    let server = findings.server.as_deref().is_none_or(|said| said == "ok");
    Ok(findings.root && findings.family.is_some() && findings.cgroups.is_ok() && server)
}
