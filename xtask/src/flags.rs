//! The one list of commands. Each variant is carried out by the file of the same name.

use clap::{Parser, Subcommand};

/// Every developer command of bubble-chamber.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
pub(crate) struct Xtask {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compile the kernel side into target/ebpf/bubble-agent-ebpf
    ///
    /// Installs the eBPF toolchain if it is missing. The agent's build embeds the object it finds
    /// there.
    BuildEbpf,
}
