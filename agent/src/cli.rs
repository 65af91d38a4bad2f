//! The command line of `bubble-agent`.

use clap::{Parser, Subcommand};

use crate::config::settings::Settings;
use crate::{analyse, launch};

/// Counts what the containers of this host do, second by second, and posts it to bubble-server
///
/// Needs root (in Docker: --privileged). Each setting is a flag, an environment variable or a line of
/// the configuration file. A flag wins over the environment, the environment over the file.
#[derive(Debug, Parser)]
#[command(name = "bubble-agent", version, max_term_width = 100)]
pub struct Cli {
    /// The subcommand. `None`: count and post.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings given by flags and environment variables.
    #[command(flatten)]
    pub settings: Settings,
}

/// What to do instead of counting.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this host lets the agent count, and what is missing
    Doctor {
        /// List every hook, what it counts and what became of it
        #[arg(long, conflicts_with = "json")]
        verbose: bool,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove from the kernel what goes on counting without an agent (--pins)
    Unpin,
    /// Read a recording: a capture, or the output of sysdig
    ///
    /// Reads captures of sysdig and Falco (.scap) and the output of sysdig -pc -j (JSON) and
    /// sysdig -pc -t a (text), gzipped or not. Posts it to the server, which keeps it until someone
    /// deletes it, or prints a report.
    ///
    /// Exit codes: 0 the recording was read to its end; 1 it could not be read, posted or written;
    /// 2 the command line is wrong; 3 the recording is damaged or cut short, and its readable part was
    /// taken.
    Analyse(analyse::flags::Flags),
    /// Run a command, count all that it does, and report it at its end
    ///
    /// Counts as the agent does, in a cgroup of its own and without a server: CPU, memory, files, peers
    /// and processes, to the last short one. The report goes to standard error, so that standard output
    /// is the command's. Terminal, environment, folder and signals are those of the caller, also under
    /// sudo, where the command runs as the user who asked. With --server it is posted too.
    ///
    /// Ends when the last process of the command has ended.
    ///
    /// Exit codes: that of the command; 128 and the number of the signal that killed it; 127 it was not
    /// found; 126 it cannot be run; 125 the agent failed before.
    Run(launch::flags::Flags),
}
