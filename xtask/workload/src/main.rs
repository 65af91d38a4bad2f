//! `bubble-workload`: does work of exactly known size and prints what it did, as one JSON object.
//!
//! The tests run it in a container, and compare its output with what the agent counted. It is a static
//! program for images FROM scratch. It skips the standard library's runtime start, which reads
//! `/proc/self/maps`, so that it does nothing else than it prints.

#![no_main]

use std::ffi::{CStr, c_char, c_int};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use serde::Serialize;

mod case;
mod cpu;
mod crowd;
mod ledger;
mod measure;
mod rare;
mod start;
mod sys;
mod witness;

use case::{
    append, budget, burn, datagram, fault, file, folders, identity, memory, multipath, names,
    opens, passed, process, pulse, replaced, shop, tcp, unix, uring,
};

/// Does work of exactly known size and prints what it did, as one JSON object
#[derive(Debug, Parser)]
#[command(name = "bubble-workload", version)]
struct Cli {
    /// Wait before the work, ms
    #[arg(long, default_value_t = 0, global = true)]
    delay_ms: u64,
    /// Wait before the work until this file exists
    #[arg(long, global = true)]
    go: Option<PathBuf>,
    /// Wait after the work, ms
    #[arg(long, default_value_t = 0, global = true)]
    linger_ms: u64,
    /// Folder for files; created if it does not exist
    #[arg(long, default_value = "/tmp/bubble-workload", global = true)]
    directory: PathBuf,
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// Files: bytes in and out
    File(file::Options),
    /// TCP: receive from one client, reply, print the server's side
    TcpServer {
        /// Address and port to listen on
        #[arg(long)]
        listen: SocketAddr,
        #[command(flatten)]
        amount: tcp::Amount,
    },
    /// TCP: send to a server, receive its reply, print the client's side
    TcpClient {
        /// Address and port of the server
        #[arg(long)]
        connect: SocketAddr,
        #[command(flatten)]
        amount: tcp::Amount,
    },
    /// UDP: answer datagrams, print the server's side
    UdpServer(datagram::Options),
    /// UDP: send datagrams, receive the answers, print the client's side
    UdpClient(datagram::Options),
    /// UDP: receive datagrams by calls that fail afterwards
    Fault,
    /// MPTCP: connect to itself, and send
    Multipath,
    /// a connection over TCP that io_uring makes and accepts
    UringConnection,
    /// Unix sockets: a child sends, the parent answers
    Unix(unix::Options),
    /// CPU: a child that burns it and never yields
    Burn {
        /// Seconds of CPU
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// Time: processes that each wait for one thing
    Budget,
    /// Processes: many short ones, with arguments, exit codes and signals
    Processes {
        /// Number of processes
        #[arg(long, default_value_t = 500)]
        count: u32,
        /// CPU time of each, microseconds
        #[arg(long, default_value_t = 1000)]
        us: u64,
    },
    /// Processes: many that only exit
    Forks {
        /// Number of processes
        #[arg(long, default_value_t = 20_000)]
        count: u32,
    },
    /// Processes: one that renames itself many times, and then executes another program
    Renames,
    /// Processes: one that changes who it is
    Identity {
        /// What it does
        #[arg(value_enum)]
        of: identity::Case,
    },
    /// Names: any bytes in those of files, a process and its threads, and a long path
    Names,
    /// Opens: many different files, each once
    Opens {
        /// Number of files
        #[arg(long, default_value_t = 100_000)]
        count: u32,
    },
    /// Folders: made and removed again, with a file in each
    Folders(folders::Options),
    /// Folders: renamed with the files in them, and other changes of a path
    Renamed,
    /// Descriptors: get another file while a call waits in the former one
    Replaced,
    /// Descriptors: get another file between two calls, or come through a socket; a file below another root
    Passed,
    /// A short life and an exit code
    Exit {
        /// Lifetime, ms
        #[arg(long, default_value_t = 300)]
        after_ms: u64,
        /// Exit code
        #[arg(long, default_value_t = 3)]
        code: i32,
    },
    /// Memory: a child that allocates it until the kernel kills it
    OutOfMemory {
        /// Stop at this many MiB
        #[arg(long, default_value_t = 1024)]
        at_most_mib: usize,
    },
    /// Memory: a child that holds it for a while
    Memory {
        /// MiB to hold
        #[arg(long, default_value_t = 64)]
        mib: usize,
        /// Seconds to hold it
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// Memory: children that hold one mapping together
    Shared {
        /// MiB of the mapping
        #[arg(long, default_value_t = 100)]
        mib: usize,
        /// Number of children
        #[arg(long, default_value_t = 20)]
        processes: u32,
        /// Seconds to hold it
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// TCP: connect to an address without a listener
    Refused {
        /// Address and port
        #[arg(long)]
        connect: SocketAddr,
    },
    /// Files: write one file in each interval, and print the time of each write
    Pulse(pulse::Options),
    /// Files: append to one file until killed; its size is the truth
    Append(append::Options),
    /// Enter cgroups, then execute another program, as a container runtime does
    Start(start::Options),
    /// Run a program in cgroups, and print what the kernel counted for each of its processes
    Witness(witness::Options),
    /// Measure the cost of one operation, ns
    Loop(measure::Options),
    /// A small web shop, which has no truth: the demonstration of `cargo xtask up`
    Shop {
        #[command(subcommand)]
        part: shop::Part,
    },
    /// Many processes that each do a little every second
    Crowd(crowd::Options),
    #[command(hide = true)]
    Child {
        /// Unused; it makes the arguments of each child different
        number: u32,
        #[arg(long)]
        us: u64,
        #[arg(long, default_value_t = 0)]
        code: i32,
        #[arg(long)]
        signal: Option<i32>,
    },
    #[command(hide = true)]
    Rename,
    #[command(hide = true)]
    NamedHere,
    #[command(hide = true)]
    IdentityHere {
        #[arg(value_enum)]
        of: identity::Case,
    },
    #[command(hide = true)]
    ScriptHere { script: PathBuf },
    #[command(hide = true)]
    BurnHere {
        #[arg(long)]
        ns: u64,
    },
    /// Threads that use their cores until the process is killed
    #[command(hide = true)]
    SpinHere {
        #[arg(long, default_value_t = 2)]
        threads: usize,
    },
    #[command(hide = true)]
    HoldHere {
        #[arg(long)]
        mib: usize,
        #[arg(long)]
        ms: u64,
    },
}

/// Prints `truth` with one write, and returns `code`.
fn print(truth: &impl Serialize, code: i32) -> Result<i32> {
    let mut line = serde_json::to_vec(truth)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        let written = sys::write(&std::io::stdout(), rest).context("cannot print")?;
        rest = &rest[written as usize..];
    }
    Ok(code)
}

/// Waits for `--delay-ms` and `--go`.
fn wait_for_start(cli: &Cli) {
    sleep(Duration::from_millis(cli.delay_ms));
    while cli.go.as_deref().is_some_and(|go| !go.exists()) {
        sleep(Duration::from_millis(5));
    }
}

fn work(cli: &Cli) -> Result<i32> {
    let directory: &Path = &cli.directory;
    let truth = match &cli.work {
        // Children print nothing.
        Work::Child {
            us, code, signal, ..
        } => return process::child(*us, *code, *signal),
        Work::Rename => return process::rename(),
        Work::NamedHere => return names::here(),
        Work::IdentityHere { of } => return identity::here(*of, directory),
        Work::ScriptHere { .. } => return Ok(identity::script()),
        Work::BurnHere { ns } => return Ok(cpu::burn(*ns).map(|()| 0)?),
        Work::SpinHere { threads } => cpu::spin_in_threads(*threads),
        Work::HoldHere { mib, ms } => {
            memory::hold_here(*mib, *ms);
            return Ok(0);
        }
        Work::Loop(options) => {
            create(directory)?;
            return print(&measure::run(directory, options)?, 0);
        }
        Work::Crowd(options) => {
            return create(directory)
                .and_then(|()| crowd::run(directory, options))
                .map(|()| 0);
        }
        Work::Shop { part } => return shop::run(part).map(|()| 0),
        Work::Append(options) => return append::run(options),
        Work::Start(options) => return start::run(options),
        Work::Witness(options) => return print(&witness::run(options)?, 0),
        Work::Pulse(options) => create(directory).and_then(|()| pulse::run(directory, options)),
        Work::File(options) => create(directory).and_then(|()| file::run(directory, options)),
        Work::TcpServer { listen, amount } => tcp::serve(*listen, amount),
        Work::TcpClient { connect, amount } => {
            create(directory).and_then(|()| tcp::connect(*connect, amount, directory))
        }
        Work::UdpServer(options) => datagram::serve(options),
        Work::UdpClient(options) => datagram::ask(options),
        Work::Fault => fault::run(),
        Work::Multipath => multipath::run(),
        Work::UringConnection => uring::connection(),
        Work::Unix(options) => create(directory).and_then(|()| unix::run(directory, options)),
        Work::Burn { seconds } => burn::run((seconds * 1e9) as u64),
        Work::Budget => create(directory).and_then(|()| budget::run(directory)),
        Work::Processes { count, us } => process::many(*count, *us),
        Work::Forks { count } => process::forks(*count),
        Work::Renames => process::renames(),
        Work::Identity { of } => create(directory).and_then(|()| identity::run(*of, directory)),
        Work::Names => create(directory).and_then(|()| names::run(directory)),
        Work::Opens { count } => create(directory).and_then(|()| opens::run(directory, *count)),
        Work::Folders(options) => create(directory).and_then(|()| folders::run(directory, options)),
        Work::Replaced => create(directory).and_then(|()| replaced::run(directory)),
        Work::Passed => create(directory).and_then(|()| passed::run(directory)),
        Work::Renamed => create(directory).and_then(|()| folders::rename(directory)),
        Work::Exit { after_ms, code } => Ok(process::exit(*after_ms, *code)),
        Work::OutOfMemory { at_most_mib } => memory::exhaust(*at_most_mib),
        Work::Memory { mib, seconds } => memory::hold(*mib, (seconds * 1e3) as u64),
        Work::Shared {
            mib,
            processes,
            seconds,
        } => memory::share(*mib, *processes, (seconds * 1e3) as u64),
        Work::Refused { connect } => tcp::refused(*connect),
    }?;
    sleep(Duration::from_millis(cli.linger_ms));
    let code = truth
        .processes
        .first()
        .and_then(|this| this.exit_code)
        .unwrap_or(0);
    print(&truth, code)
}

fn create(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot create the folder {}", directory.display()))
}

/// The entry point for the C library. It replaces that of the standard library.
// SAFETY: the only `main` of this program; the C library calls it with argc and argv.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // The child of `loop fork-exec-exit`, which must cost as little as possible.
    // SAFETY: argv has argc pointers to strings that end in NUL.
    if argc == 2 && unsafe { CStr::from_ptr(*argv.add(1)) } == c"quit" {
        sys::exit(0);
    }
    // SAFETY: these are the arguments of `main`.
    unsafe { sys::note_arguments(argc, argv) };
    let cli = Cli::parse();
    wait_for_start(&cli);
    match work(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bubble-workload: {error:#}");
            1
        }
    }
}
