//! The list of commands. The file or folder with the name of a variant runs it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The developer commands of bubble-chamber. Each installs the programs that it needs and says so
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
pub(crate) struct Xtask {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Up),
    /// Compile the kernel side into agent/ebpf/, which is checked in
    ///
    /// Needed after a change in agent-ebpf/ or common/src/kernel/. Installs the eBPF toolchain if
    /// it is missing. The agent embeds the object; a unit test fails when the object is out of
    /// date.
    BuildEbpf,
    Build(Build),
    /// Build the page into server/ui/dist, which the server embeds
    Ui,
    Test(Test),
    Bench(Bench),
    Fuzz(Fuzz),
    Vm(Vm),
    /// Build the images bubble-agent and bubble-server, static, FROM scratch
    ///
    /// Each is tagged with the version and `latest`. Starts a Docker daemon if none answers.
    Image,
    Services(Services),
    Simulate(Simulate),
    Soak(Soak),
    Tools(Tools),
}

/// Install and build what the tests need, once
///
/// `cargo xtask test` does it in the background, at the lowest priority.
#[derive(Debug, Args)]
pub(crate) struct Tools {
    /// Also what only `test --all` needs: it is compiled from source
    #[arg(long)]
    pub(crate) all: bool,
}

/// Build and start the whole system on this machine, and print the link to its page
///
/// If no container runs, it starts a small web shop to look at. As root with eBPF it counts
/// everything. Otherwise it counts what this machine allows, says what is missing, and still prints
/// a link. Ctrl-C or SIGTERM ends everything that it started. The data stays in the data folder for
/// the next time.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Port of the server on 127.0.0.1 (default: 8080, or a free one)
    #[arg(long)]
    pub(crate) server_port: Option<u16>,
    /// Port of the agent's metrics on 127.0.0.1 (default: 9465, or a free one)
    #[arg(long)]
    pub(crate) agent_port: Option<u16>,
    /// Folder of data and logs (default: target/up, or target/up-2 and so on if it is in use)
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
}

/// Build the agent, the server and the workload as static programs, with the kernel side and the
/// page
///
/// Writes them to target/x86_64-unknown-linux-gnu/. Without Node, the server embeds the page that
/// is in server/ui/dist, if any.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Optimise as for a release
    #[arg(long)]
    pub(crate) release: bool,
}

/// Run the tests that a developer needs after a change, or all tests that CI runs
///
/// The tests are in groups. `--list` shows what each group does, and what only it can find. A group
/// that this machine cannot run is reported; if the variable CI is set, it fails.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Run all groups in full, as CI does
    #[arg(long, conflicts_with = "only")]
    pub(crate) all: bool,
    /// Run only these groups
    #[arg(long, value_name = "GROUP", num_args = 1.., value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// List the groups
    #[arg(long)]
    pub(crate) list: bool,
    /// Arguments for the test programs of the services and of the suite, such as the name of a test
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
}

/// Run a benchmark: sizes, rates, the agent's overhead
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Name of the benchmark (default: list them)
    pub(crate) name: Option<String>,
    /// Print one JSON object per line instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// List the benchmarks
    #[arg(long)]
    pub(crate) list: bool,
    /// Arguments for the benchmark; where it takes any, `-- --help` lists them
    #[arg(last = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
}

/// Fuzz the parsers of untrusted input
///
/// Succeeds if nothing was found. Inputs that reach new code are stored in .cache/fuzz, and the
/// next run starts from them.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// Name of the target (default: all, as many at a time as there are processors)
    pub(crate) target: Option<String>,
    /// Seconds to fuzz each target
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u32,
    /// List the targets
    #[arg(long)]
    pub(crate) list: bool,
}

/// Start or kill Cassandra, RabbitMQ and Consul on this machine, for tests and to try them
///
/// They listen on loopback addresses, on unusual ports, and run without containers. Data, logs and
/// pids are in .cache/services. Installs Java 17 and Maven, which fetches Cassandra; RabbitMQ; and
/// Go, which builds Consul (four minutes, once).
#[derive(Debug, Args)]
pub(crate) struct Services {
    #[command(subcommand)]
    pub(crate) command: ServicesCommand,
}

/// Run the agent's spool and sender and the server's ingest over a simulated disk, network and clock
///
/// Each seed is a run with other faults at other steps. It fails unless all that was counted is
/// stored or told as lost, once.
#[derive(Debug, Default, Args)]
pub(crate) struct Simulate {
    /// Number of seeds (default: 1,000, or 1 with --seed)
    #[arg(long)]
    pub(crate) seeds: Option<u64>,
    /// Seconds after which no further seed begins
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// First seed (default: one that was hardly run before)
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Print each step and each fault
    #[arg(long)]
    pub(crate) verbose: bool,
}

/// Run containers that write, kill agent and server again and again, and compare what is stored
///
/// Needs root, eBPF and Docker, as the suite does.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// Minutes to run; the last round ends after that
    #[arg(long, default_value_t = 5)]
    pub(crate) minutes: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServicesCommand {
    /// Start the services that do not run, and wait until they answer
    Up {
        /// Number of Cassandra's nodes: 1 or 3
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_nodes)]
        cassandra: u8,
        /// Start only these
        #[arg(long, value_name = "SERVICE", num_args = 1.., value_delimiter = ',')]
        only: Vec<Part>,
    },
    /// Kill the services that `up` started; their data stays
    Down {
        /// Kill only these
        #[arg(long, value_name = "SERVICE", num_args = 1.., value_delimiter = ',')]
        only: Vec<Part>,
        /// Kill only this node, of a Cassandra of three
        #[arg(long, value_name = "N", conflicts_with = "only", value_parser = clap::value_parser!(u8).range(1..=3))]
        node: Option<u8>,
    },
}

/// A service of a large installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Cassandra,
    Rabbitmq,
    Consul,
}

/// Run a command on a stock Debian kernel in QEMU, and exit with its code
///
/// The guest has busybox, the agent, the server and the workload in /bin, a pure cgroup v2 tree
/// with every controller on, bpffs, tracefs, a tmpfs on /tmp, and the loopback network. Once QEMU
/// and busybox are installed, it needs neither KVM nor root.
#[derive(Debug, Args)]
pub(crate) struct Vm {
    /// Kernel to boot
    #[arg(long, value_enum, default_value = "6.12")]
    pub(crate) kernel: Kernel,
    /// Memory of the guest in MiB
    #[arg(long, default_value_t = 1024)]
    pub(crate) memory: u32,
    /// Emulate one processor with a clock that counts instructions: one per nanosecond
    #[arg(long)]
    pub(crate) instruction_clock: bool,
    /// Seconds until the guest is killed
    #[arg(long, default_value_t = 600)]
    pub(crate) timeout: u64,
    /// Copy a file into the guest, as PATH-IN-GUEST=PATH-HERE; may be given several times
    #[arg(long, value_name = "GUEST=HERE", value_parser = parse_file)]
    pub(crate) file: Vec<(String, PathBuf)>,
    /// Set a variable for the command; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    pub(crate) env: Vec<(String, String)>,
    /// Neither build the project's programs nor copy them into the guest
    #[arg(long)]
    pub(crate) no_build: bool,
    /// The command; if it is a path of a static program here, it is copied into the guest
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// A kernel that tests run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kernel {
    /// Debian 12: without tracepoints for the length of socket calls
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12's newer kernel: with everything that the agent can use
    #[value(name = "6.12")]
    V6_12,
}

fn parse_nodes(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("expected 1 or 3".to_owned()),
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_file(text: &str) -> Result<(String, PathBuf), String> {
    let (guest, here) = parse_pair(text)?;
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
