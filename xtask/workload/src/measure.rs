//! `loop`: measures the cost of an operation by repeating it. The overhead of an observer is the
//! difference between two runs, with and without it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::LoopResult;
use clap::{Args, ValueEnum};

use crate::sys;

/// The operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// the cheapest system call
    Getpid,
    /// read 4 KiB from the page cache
    Pread,
    /// open and close an existing file
    OpenClose,
    /// send 64 bytes to another process over the loopback device, and receive them back
    TcpPingpong,
    /// start a child that executes this program and exits at once
    ForkExecExit,
}

/// Operation and repetitions.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The operation
    #[arg(value_enum)]
    case: Case,
    /// Operations in a round
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// Measured rounds; one more round runs before them
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Wait before the first round, ms
    #[arg(long, default_value_t = 0)]
    settle_ms: u64,
}

/// Runs the loop.
pub(crate) fn run(directory: &Path, options: &Options) -> Result<LoopResult> {
    ensure!(
        options.count > 0 && options.rounds > 0,
        "count and rounds must be at least 1"
    );
    sleep(Duration::from_millis(options.settle_ms));
    let path = directory.join("loop");
    let name = CString::new(path.as_os_str().as_bytes())?;
    fs::write(&path, [0x5a; 4096]).with_context(|| format!("cannot write {}", path.display()))?;
    let mut buffer = [0; 4096];
    let file = File::open(&path)?;
    let rounds_ns = match options.case {
        Case::Getpid => rounds(options, || {
            std::hint::black_box(sys::getpid());
            Ok(())
        }),
        Case::Pread => rounds(options, || sys::pread(&file, &mut buffer, 0).map(drop)),
        Case::OpenClose => rounds(options, || sys::open_close(&name)),
        Case::TcpPingpong => ping_pong(options),
        Case::ForkExecExit => {
            let program = CString::new(std::env::current_exe()?.as_os_str().as_bytes())?;
            let args = [c"bubble-workload".to_owned(), c"quit".to_owned()];
            rounds(options, || match sys::fork()? {
                Some(pid) => sys::wait(pid).map(drop),
                None => {
                    sys::exec(&program, &args);
                    sys::exit(127)
                }
            })
        }
    }?;
    let _ = fs::remove_file(&path);
    let mut sorted = rounds_ns.clone();
    sorted.sort_by(f64::total_cmp);
    let case = options.case.to_possible_value();
    Ok(LoopResult {
        case: case.map_or_else(String::new, |value| value.get_name().into()),
        count: options.count,
        min_ns: sorted[0],
        median_ns: sorted[sorted.len() / 2],
        rounds_ns,
    })
}

/// Measures the ns per operation of each round. An additional first round warms the caches.
fn rounds(options: &Options, mut operation: impl FnMut() -> io::Result<()>) -> Result<Vec<f64>> {
    let mut rounds = Vec::with_capacity(options.rounds as usize);
    for round in 0..=options.rounds {
        let start = Instant::now();
        for _ in 0..options.count {
            operation()?;
        }
        if round > 0 {
            rounds.push(start.elapsed().as_nanos() as f64 / options.count as f64);
        }
    }
    Ok(rounds)
}

/// Receives until `buffer` is full. One call usually suffices on the loopback device, but need not.
fn receive_all(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut received = 0;
    while received < buffer.len() {
        match sys::recv(socket, &mut buffer[received..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => received += more as usize,
        }
    }
    Ok(())
}

fn ping_pong(options: &Options) -> Result<Vec<f64>> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1")?;
    let address = listener.local_addr()?;
    let mut buffer = [0x5a; 64];
    let Some(pid) = sys::fork().context("cannot fork")? else {
        let mut echo = || -> io::Result<()> {
            let (socket, _) = listener.accept()?;
            socket.set_nodelay(true)?;
            loop {
                receive_all(&socket, &mut buffer)?;
                sys::send(&socket, &buffer)?;
            }
        };
        // It ends with an error when the other end closes.
        let _ = echo();
        sys::exit(0)
    };
    let socket = TcpStream::connect(address).context("cannot connect to the echo")?;
    socket.set_nodelay(true)?;
    let result = rounds(options, || {
        sys::send(&socket, &buffer)?;
        receive_all(&socket, &mut buffer)
    });
    drop(socket);
    sys::wait(pid).context("cannot wait for the echo")?;
    result
}
