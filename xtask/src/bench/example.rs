//! The common part of the benchmarks: reporting rows, parsing flags, running the example of a
//! crate.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use super::row::Row;
use crate::command::{cargo, shown};

/// Receives each row as soon as it is measured.
pub(super) type Report<'a> = dyn FnMut(Row) -> Result<()> + 'a;

/// A benchmark that is an example of a crate.
pub(super) struct Example {
    pub(super) package: &'static str,
    pub(super) example: &'static str,
}

/// Parses the arguments after `--` as the benchmark's own flags. Prints a message and exits on
/// `--help` and on an unknown flag.
pub(super) fn flags<F: Parser>(bench: &str, arguments: &[String]) -> F {
    let name = format!("cargo xtask bench {bench} --");
    F::parse_from(std::iter::once(&name).chain(arguments))
}

/// The flags of a benchmark that has none.
#[derive(Debug, Parser)]
#[command(about = "This benchmark takes no arguments")]
pub(super) struct NoFlags {}

impl Example {
    /// Runs the example and reports its rows as they come. Other lines go to standard error.
    pub(super) fn run(
        &self,
        arguments: &[&str],
        variables: &[(&str, String)],
        report: &mut Report<'_>,
    ) -> Result<()> {
        let mut command = cargo("run");
        command
            .args(["--quiet", "--release", "--package", self.package])
            .args(["--example", self.example])
            .arg("--")
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start cargo")?;
        let output = child.stdout.take().context("cargo has no output")?;
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read what the benchmark prints")?;
            match Row::parse(&line)? {
                Some(row) => report(row)?,
                None => eprintln!("{line}"),
            }
        }
        let status = child.wait().context("cannot wait for cargo")?;
        if !status.success() {
            bail!("{} ended with {status}", shown(&command));
        }
        Ok(())
    }
}
