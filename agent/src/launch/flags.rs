//! The command line of `bubble-agent run`.

use std::ffi::OsString;
use std::path::PathBuf;

use bubble_common::report::DEFAULT_ROWS;
use bubble_common::report::asked::Asked;
use bubble_common::report::render::Format;
use clap::Args;

/// The flags of `run`; the server and its key are among the general ones.
#[derive(Debug, Args)]
pub struct Flags {
    /// Name of the run [default: name of the program]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Run the command as this user, by name or number [default: who asked, also under sudo]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// End with the command, although processes that it started still run
    #[arg(long)]
    pub no_wait: bool,
    /// Write the report to this file [default: standard error]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the report to this file as one HTML page with charts, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Format of the report: text, markdown, html, json (docs/report.schema.json), time (as GNU time -v), snakemake
    /// (a benchmark), nextflow (.command.trace)
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        hide_default_value = true
    )]
    pub format: Format,
    /// As --format json
    #[arg(long, conflicts_with_all = ["markdown", "format"])]
    pub json: bool,
    /// As --format markdown
    #[arg(long, conflicts_with = "format")]
    pub markdown: bool,
    /// Write a line to standard error every N seconds while it runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub every: Option<u32>,
    /// What was asked for, such as cores=32,memory=64G,time=2h [default: what Slurm says, or the limits, each by itself]
    #[arg(long, value_name = "WHAT")]
    pub asked: Option<Asked>,
    /// Rows of each list at most
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ROWS as u16, value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    /// The command with its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub command: Vec<OsString>,
}

impl Flags {
    /// The format of the report.
    pub fn format(&self) -> Format {
        match (self.json, self.markdown) {
            (true, _) => Format::Json,
            (false, true) => Format::Markdown,
            (false, false) => self.format,
        }
    }
}
