//! `bubble-workload`: does work of exactly known size and prints what it did, as one JSON object.
//!
//! The tests run it in a container, and compare what it says about itself with what the agent saw
//! of it. It is a static program that runs FROM scratch, and it starts without the standard
//! library's own start (which reads `/proc/self/maps`), so that it does nothing but what it says.

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
mod start;
mod sys;

use case::{burn, datagram, file, memory, opens, process, pulse, tcp, unix};

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
    /// Stay after the work, before the end, ms
    #[arg(long, default_value_t = 0, global = true)]
    linger_ms: u64,
    /// Where to make files; made if it is not there
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
    /// TCP: send to a server, take its reply, print the client's side
    TcpClient {
        /// Address and port of the server
        #[arg(long)]
        connect: SocketAddr,
        #[command(flatten)]
        amount: tcp::Amount,
    },
    /// UDP: answer datagrams, print the server's side
    UdpServer(datagram::Options),
    /// UDP: send datagrams and take the answers, print the client's side
    UdpClient(datagram::Options),
    /// Unix sockets: a child sends, the parent answers
    Unix(unix::Options),
    /// CPU: a child that burns it without ever yielding
    Burn {
        /// Seconds of CPU
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// Processes: many short ones, with arguments, exit codes and signals
    Processes {
        /// How many
        #[arg(long, default_value_t = 500)]
        count: u32,
        /// CPU of each, microseconds
        #[arg(long, default_value_t = 1000)]
        us: u64,
    },
    /// Processes: one that gives itself another name, and then is another program
    Renames,
    /// Opens: many different files, each once
    Opens {
        /// How many
        #[arg(long, default_value_t = 100_000)]
        count: u32,
    },
    /// A short life and a bad end
    Exit {
        /// Length of the life, ms
        #[arg(long, default_value_t = 300)]
        after_ms: u64,
        /// Exit code
        #[arg(long, default_value_t = 3)]
        code: i32,
    },
    /// Memory: a child that takes it until the kernel kills it
    OutOfMemory {
        /// Give up at that many MiB
        #[arg(long, default_value_t = 1024)]
        at_most_mib: usize,
    },
    /// Memory: a child that holds it for a while
    Memory {
        /// MiB held
        #[arg(long, default_value_t = 64)]
        mib: usize,
        /// Seconds for which it is held
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// TCP: connect to where nobody listens
    Refused {
        /// Address and port
        #[arg(long)]
        connect: SocketAddr,
    },
    /// Files: one write each, at intervals, with the time of each
    Pulse(pulse::Options),
    /// Move into cgroups, then become another program (what a container runtime does)
    Start(start::Options),
    /// The price of one operation, ns
    Loop(measure::Options),
    /// Many processes that each do a little every second
    Crowd(crowd::Options),
    #[command(hide = true)]
    Child {
        /// Only to be seen among the arguments
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
    BurnHere {
        #[arg(long)]
        ns: u64,
    },
    #[command(hide = true)]
    HoldHere {
        #[arg(long)]
        mib: usize,
        #[arg(long)]
        ms: u64,
    },
}

/// Prints in one call, and gives the exit code on.
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

/// Waits for the go, if one was asked for.
fn wait(cli: &Cli) {
    sleep(Duration::from_millis(cli.delay_ms));
    while cli.go.as_deref().is_some_and(|go| !go.exists()) {
        sleep(Duration::from_millis(5));
    }
}

fn work(cli: &Cli) -> Result<i32> {
    let directory: &Path = &cli.directory;
    let truth = match &cli.work {
        // The children, who print nothing.
        Work::Child {
            us, code, signal, ..
        } => return process::child(*us, *code, *signal),
        Work::Rename => return process::rename(),
        Work::BurnHere { ns } => return Ok(cpu::burn(*ns).map(|()| 0)?),
        Work::HoldHere { mib, ms } => {
            memory::hold_here(*mib, *ms);
            return Ok(0);
        }
        Work::Loop(options) => {
            make(directory)?;
            return print(&measure::run(directory, options)?, 0);
        }
        Work::Crowd(options) => {
            return make(directory)
                .and_then(|()| crowd::run(directory, options))
                .map(|()| 0);
        }
        Work::Start(options) => return start::run(options),
        Work::Pulse(options) => make(directory).and_then(|()| pulse::run(directory, options)),
        Work::File(options) => make(directory).and_then(|()| file::run(directory, options)),
        Work::TcpServer { listen, amount } => tcp::serve(*listen, amount),
        Work::TcpClient { connect, amount } => {
            make(directory).and_then(|()| tcp::connect(*connect, amount, directory))
        }
        Work::UdpServer(options) => datagram::serve(options),
        Work::UdpClient(options) => datagram::ask(options),
        Work::Unix(options) => make(directory).and_then(|()| unix::run(directory, options)),
        Work::Burn { seconds } => burn::run((seconds * 1e9) as u64),
        Work::Processes { count, us } => process::many(*count, *us),
        Work::Renames => process::renames(),
        Work::Opens { count } => make(directory).and_then(|()| opens::run(directory, *count)),
        Work::Exit { after_ms, code } => Ok(process::exit(*after_ms, *code)),
        Work::OutOfMemory { at_most_mib } => memory::exhaust(*at_most_mib),
        Work::Memory { mib, seconds } => memory::hold(*mib, (seconds * 1e3) as u64),
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

fn make(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the folder {}", directory.display()))
}

/// The C library's entry, taken instead of the standard library's.
// SAFETY: the only `main` of this program; the C library calls it with argc and argv.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // The child of `loop fork-exec-exit`, which is to cost nothing of its own.
    // SAFETY: argv has argc pointers to strings that end in NUL.
    if argc == 2 && unsafe { CStr::from_ptr(*argv.add(1)) } == c"quit" {
        sys::exit(0);
    }
    let cli = Cli::parse();
    wait(&cli);
    match work(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bubble-workload: {error:#}");
            1
        }
    }
}
