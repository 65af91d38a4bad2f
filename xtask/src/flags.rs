//! The one list of commands. Each variant is carried out by the file of the same name.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::vm::Kernel;

/// Every developer command of bubble-chamber; each installs what it needs and says so
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
pub(crate) struct Xtask {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Up),
    /// Compile the kernel side into target/ebpf/bubble-agent-ebpf
    ///
    /// Installs the eBPF toolchain if it is missing. The agent's build embeds the object it finds
    /// there.
    BuildEbpf,
    Build(Build),
    /// Build the page into server/ui/dist, from where the server embeds it
    Ui,
    Test(Test),
    Bench(Bench),
    Fuzz(Fuzz),
    Vm(Vm),
    /// Build the images bubble-agent and bubble-server, static, FROM scratch
    ///
    /// Each is tagged with the version and `latest`. Starts a Docker daemon of its own if none
    /// answers.
    Image,
    Services(Services),
}

/// Build and start the whole system on this machine, and print the link to its page
///
/// Needs root, for the agent. Where no container runs, it starts a small workload in a cgroup of
/// its own, to have something to show. Everything that it started ends with it, on ctrl-C or
/// SIGTERM; the data stays in the data folder and is there the next time.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// The server's port on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    pub(crate) server_port: u16,
    /// The port on 127.0.0.1 of the agent's metrics
    #[arg(long, default_value_t = 9465)]
    pub(crate) agent_port: u16,
    /// The folder of data and logs (default: target/up)
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
}

/// Build the agent, the server and the workload as static programs, kernel side and page included
///
/// They are left in target/x86_64-unknown-linux-gnu/. Without Node the server is built with the
/// page as it is in server/ui/dist, if it is.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Optimise, as for a release
    #[arg(long)]
    pub(crate) release: bool,
}

/// Run the tests, in groups: all of them, as CI does, or some
///
/// A group that this machine cannot run is said aloud; with the variable CI set, it fails.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Run these groups only
    #[arg(long, value_name = "GROUP", num_args = 1.., value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Show the groups and run none
    #[arg(long)]
    pub(crate) list: bool,
    /// What the suite's test program gets: the name of a test, for instance
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
}

/// Measure something: sizes, rates, what the agent adds to an operation
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The benchmark; without one, they are listed
    pub(crate) name: Option<String>,
    /// Print one JSON object a line, not a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the benchmarks and run none
    #[arg(long)]
    pub(crate) list: bool,
    /// What the benchmark gets: `--help` tells, where it takes any
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
}

/// Feed the readers of what strangers write with anything, by libFuzzer
///
/// Ends with success when nothing was found. Inputs that lead to new places are kept in
/// .cache/fuzz, from where the next run goes on.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// The target; without one all of them, as many at a time as there are processors
    pub(crate) target: Option<String>,
    /// For how many seconds each
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u32,
    /// Show the targets and run none
    #[arg(long)]
    pub(crate) list: bool,
}

/// Start or end Cassandra, RabbitMQ and Consul on this machine, for tests and for trying it out
///
/// On loopback addresses and ports of their own, without containers; data, logs and pids are in
/// .cache/services. Installs what is missing: Java 17 and Maven, which fetches Cassandra; RabbitMQ;
/// Go, which builds Consul (four minutes, once).
#[derive(Debug, Args)]
pub(crate) struct Services {
    #[command(subcommand)]
    pub(crate) command: ServicesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServicesCommand {
    /// Start what does not run, and return when it answers
    Up {
        /// How many nodes of Cassandra: 1 or 3
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = nodes)]
        cassandra: u8,
        /// Start these only
        #[arg(long, value_name = "SERVICE", num_args = 1.., value_delimiter = ',')]
        only: Vec<Part>,
    },
    /// Kill what `up` started; its data stays
    Down {
        /// Kill these only
        #[arg(long, value_name = "SERVICE", num_args = 1.., value_delimiter = ',')]
        only: Vec<Part>,
        /// Kill nothing but this node of three of Cassandra, which must run
        #[arg(long, value_name = "N", conflicts_with = "only", value_parser = clap::value_parser!(u8).range(1..=3))]
        node: Option<u8>,
    },
}

/// A part of a large installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Cassandra,
    Rabbitmq,
    Consul,
}

/// Run a command on a stock Debian kernel in QEMU, and end with its exit code
///
/// The guest has busybox, the agent, the server and the workload in /bin, a pure cgroup v2 tree
/// with every controller on, bpffs, tracefs, a tmpfs on /tmp, and the loopback network. Needs no
/// KVM and no root, once QEMU and busybox are installed.
#[derive(Debug, Args)]
pub(crate) struct Vm {
    /// The kernel to boot
    #[arg(long, value_enum, default_value = "6.12")]
    pub(crate) kernel: Kernel,
    /// The guest's memory in MiB
    #[arg(long, default_value_t = 1024)]
    pub(crate) memory: u32,
    /// One processor whose clock counts instructions: a nanosecond is an instruction
    #[arg(long)]
    pub(crate) instruction_clock: bool,
    /// Seconds after which the guest is killed
    #[arg(long, default_value_t = 600)]
    pub(crate) timeout: u64,
    /// A file to bring along, as PATH-IN-GUEST=PATH-HERE
    #[arg(long, value_name = "GUEST=HERE", value_parser = file)]
    pub(crate) file: Vec<(String, PathBuf)>,
    /// A variable of the command
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) env: Vec<(String, String)>,
    /// Do not build the project's programs and bring none of them along
    #[arg(long)]
    pub(crate) no_build: bool,
    /// The command; a path of a static program here is brought along
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

fn nodes(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("one node or three".to_owned()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("there is no `=` in it")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn file(text: &str) -> Result<(String, PathBuf), String> {
    let (guest, here) = pair(text)?;
    if !guest.starts_with('/') {
        return Err("the path in the guest must start with `/`".to_owned());
    }
    Ok((guest, PathBuf::from(here)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Xtask::command().debug_assert();
    }
}
