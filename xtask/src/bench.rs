//! `bench`: one table of benchmarks. Some are programs of a crate (its examples), which print one
//! JSON object a line; others have to arrange a whole machine, and are here. Either way a row says
//! what was measured, of which variant, how much and in which unit; this file only shows the rows.

mod agent;
mod capture;
mod overhead;
mod row;
mod sizing;
mod store;

use std::{
    io::{BufRead as _, BufReader},
    process::{ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use self::row::Row;
use crate::{
    command::{cargo, shown},
    flags,
};

/// Takes each row as it is measured.
type Report<'a> = dyn FnMut(Row) -> Result<()> + 'a;

struct Bench {
    name: &'static str,
    about: &'static str,
    how: How,
}

enum How {
    /// A program of a crate alone.
    Example(Example),
    /// Code of this folder, which gets what was given after `--`.
    Here(fn(&mut Report<'_>, &[String]) -> Result<()>),
}

/// An example of a crate, which may need a feature of it.
struct Example {
    package: &'static str,
    example: &'static str,
    features: &'static str,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "segment",
        about: "size of a busy container-second, and the rates of encoding, decoding, merging",
        how: How::Example(Example {
            package: "bubble-common",
            example: "bench_segment",
            features: "testing",
        }),
    },
    Bench {
        name: "ingest",
        about: "container-seconds per second into SQLite over HTTP",
        how: How::Example(Example {
            package: "bubble-server",
            example: "bench_ingest",
            features: "",
        }),
    },
    Bench {
        name: "query",
        about: "a page's request over an hour of seconds and two days of minutes",
        how: How::Example(Example {
            package: "bubble-server",
            example: "bench_query",
            features: "",
        }),
    },
    Bench {
        name: "store",
        about: "SQLite and Cassandra: rates, bytes on the disk, pages of an hour to 120 days",
        how: How::Here(store::run),
    },
    Bench {
        name: "rollup",
        about: "roll-up on Cassandra by 1, 2 and 4 workers, and that all totals are equal",
        how: How::Here(store::rollup),
    },
    Bench {
        name: "sizing",
        about: "what a site of 100, 1,000 and 10,000 hosts takes, computed from what the others measured",
        how: How::Here(sizing::run),
    },
    Bench {
        name: "capture",
        about: "events of captures per second and core, beside sysdig's",
        how: How::Here(capture::run),
    },
    Bench {
        name: "agent",
        about: "the agent's CPU and memory at 100 containers with 2,000 processes",
        how: How::Here(agent::run),
    },
    Bench {
        name: "overhead",
        about: "what the agent adds to an operation: in ns here, in instructions in QEMU",
        how: How::Here(overhead::run),
    },
];

pub(crate) fn run(flags: &flags::Bench) -> Result<ExitCode> {
    let Some(name) = flags.name.as_deref().filter(|_| !flags.list) else {
        for bench in BENCHES {
            println!("{:10} {}", bench.name, bench.about);
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        bail!("no benchmark {name}: `cargo xtask bench --list` shows them");
    };
    let mut rows = Vec::new();
    let mut report = |row: Row| {
        if flags.json {
            println!("{}", row.json()?);
        }
        rows.push(row);
        Ok(())
    };
    match bench.how {
        How::Example(ref example) => {
            let arguments: Vec<&str> = flags.arguments.iter().map(String::as_str).collect();
            example.run(&arguments, &[], &mut report)?;
        }
        How::Here(run) => run(&mut report, &flags.arguments)?,
    }
    if rows.is_empty() {
        bail!("the benchmark {name} measured nothing");
    }
    if !flags.json {
        print!("{}", row::table(&rows));
    }
    Ok(ExitCode::SUCCESS)
}

/// What was given after `--`, as the benchmark's own flags. Whoever asks for help, or for a flag that
/// there is not, is told, and the command ends.
fn flags<F: Parser>(bench: &str, arguments: &[String]) -> F {
    let name = format!("cargo xtask bench {bench} --");
    F::parse_from(std::iter::once(&name).chain(arguments))
}

/// Of a benchmark that has no flags.
#[derive(Debug, Parser)]
#[command(about = "This benchmark takes no arguments")]
struct NoFlags {}

impl Example {
    /// Runs it and reads its rows as they come; whatever else it prints is passed on.
    fn run(
        &self,
        arguments: &[&str],
        variables: &[(&str, String)],
        report: &mut Report<'_>,
    ) -> Result<()> {
        let mut command = cargo("run");
        command
            .args(["--quiet", "--release", "--package", self.package])
            .args(["--example", self.example, "--features", self.features])
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
