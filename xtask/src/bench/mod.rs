//! `bench`: the table of benchmarks.
//!
//! Some are examples of a crate, which print one JSON object per line. Others prepare a whole
//! machine and are in this folder. Both report rows: the case, the variant, the value and its unit.

mod agent;
mod capture;
mod example;
mod fleet;
mod overhead;
mod page;
mod row;
mod sizing;
mod store;

use std::process::ExitCode;

use anyhow::{Result, bail};

use self::example::{Example, Report};
use self::row::Row;
use crate::flags;

struct Bench {
    name: &'static str,
    about: &'static str,
    runner: Runner,
}

enum Runner {
    /// An example of a crate.
    Example(Example),
    /// A function of this folder. It gets the arguments after `--`.
    Function(fn(&mut Report<'_>, &[String]) -> Result<()>),
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "segment",
        about: "size of a busy container-second, and the rates of encoding, decoding, merging",
        runner: Runner::Example(Example {
            package: "bubble-common",
            example: "bench_segment",
        }),
    },
    Bench {
        name: "ingest",
        about: "container-seconds per second into SQLite over HTTP",
        runner: Runner::Example(Example {
            package: "bubble-server",
            example: "bench_ingest",
        }),
    },
    Bench {
        name: "query",
        about: "a page's request over an hour of seconds and two days of minutes",
        runner: Runner::Example(Example {
            package: "bubble-server",
            example: "bench_query",
        }),
    },
    Bench {
        name: "store",
        about: "SQLite and Cassandra: rates, bytes on the disk, pages of an hour to 120 days",
        runner: Runner::Function(store::run),
    },
    Bench {
        name: "rollup",
        about: "roll-up on Cassandra by 1, 2 and 4 workers; checks that all totals are equal",
        runner: Runner::Function(store::rollup),
    },
    Bench {
        name: "fleet",
        about: "many hosts with the agent's own delivery against a real server: cost, delay, loss",
        runner: Runner::Function(fleet::run),
    },
    Bench {
        name: "sizing",
        about: "cores, disk, network of a site of 100 to 10,000 hosts, computed from the others",
        runner: Runner::Function(sizing::run),
    },
    Bench {
        name: "capture",
        about: "events of captures per second and core, compared with sysdig",
        runner: Runner::Function(capture::run),
    },
    Bench {
        name: "agent",
        about: "the agent's CPU and memory at 100 containers with 2,000 processes",
        runner: Runner::Function(agent::run),
    },
    Bench {
        name: "page",
        about: "the page in Chromium: CPU of a live hour with 2,900 processes, long tasks, interactions",
        runner: Runner::Function(page::run),
    },
    Bench {
        name: "overhead",
        about: "what the agent adds to an operation: in ns on this host, in instructions in QEMU",
        runner: Runner::Function(overhead::run),
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
    match bench.runner {
        Runner::Example(ref example) => {
            let arguments: Vec<&str> = flags.arguments.iter().map(String::as_str).collect();
            example.run(&arguments, &[], &mut report)?;
        }
        Runner::Function(run) => run(&mut report, &flags.arguments)?,
    }
    if rows.is_empty() {
        bail!("the benchmark {name} measured nothing");
    }
    if !flags.json {
        print!("{}", row::table(&rows));
    }
    Ok(ExitCode::SUCCESS)
}
