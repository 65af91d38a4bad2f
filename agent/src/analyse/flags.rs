//! The command line of `bubble-agent analyse`.

use std::path::PathBuf;

use bubble_capture::format::Format;
use clap::Args;

/// The flags of `analyse`; the server and its key are among the general ones.
#[derive(Debug, Args)]
pub struct Flags {
    /// The recording, gzipped or not; - for standard input
    #[arg(
        value_name = "FILE",
        required_unless_present = "watch",
        conflicts_with = "watch"
    )]
    pub file: Option<PathBuf>,
    /// Take captures from a folder as sysdig -w FOLDER/FILE -C 100 rotates them, until interrupted
    #[arg(long, value_name = "FOLDER")]
    pub watch: Option<PathBuf>,
    /// Format of the recording [default: guessed from its beginning]
    #[arg(long, env = "BUBBLE_FORMAT", value_enum)]
    pub format: Option<Format>,
    /// Name of the recording on the server [default: the file's name]
    #[arg(long, env = "BUBBLE_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Post nothing, print a report
    #[arg(long)]
    pub dry_run: bool,
    /// Print the report as JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// Print a report of each container with advice, as `bubble-agent run` does
    #[arg(long, conflicts_with = "json")]
    pub report: bool,
    /// Write io.tsv, cpu.tsv and processes.tsv with every row into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "watch")]
    pub tables: Option<PathBuf>,
}
