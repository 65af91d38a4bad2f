//! The time budget: processes that each wait for one thing, for a time that they measure.
//!
//! A process measures the time of its call, and reads from `/proc/thread-self/schedstat` how much of it
//! it waited for a core. It may lose its core between the clock and that reading, so it reads before and
//! after the clock, which gives two bounds.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bubble_workload::truth::{Truth, WaitTruth};

use crate::ledger::Ledger;
use crate::{cpu, sys};

/// The parent acts this long after the beginning, and after each act.
const STEP: Duration = Duration::from_millis(600);
/// The longest sleep.
const LONG: Duration = Duration::from_millis(4_200);
/// CPU time of each process that shares a core with another one.
const SHARED_NS: u64 = 500_000_000;
/// The process that writes to a disk does so until it has waited for this long.
const DISK: Duration = Duration::from_millis(700);
/// The same if the disk is so fast that it never waits.
const MAX_DISK: Duration = Duration::from_secs(30);
/// Bytes of each write.
const WRITE: usize = 64 * 1024;
/// Length of the memory that all share.
const PAGE: usize = 4_096;

/// The processes: name, and kind of the wait.
const PARTS: [(&str, &str); 10] = [
    ("b-sleep", "sleep"),
    ("b-lock", "lock"),
    ("b-peer", "network"),
    ("b-pipe", "pipe"),
    ("b-poll", "events"),
    ("b-child", "child"),
    ("b-stop", "stopped"),
    ("b-core-1", "core"),
    ("b-core-2", "core"),
    ("b-disk", "disk"),
];

/// The least and the most that a process waited, ns.
type Bounds = [AtomicU64; 2];

/// What the processes wait at.
struct Ends {
    lock: *const AtomicU32,
    peer: [TcpStream; 2],
    file: PathBuf,
    pipe: [i32; 2],
    poll: [i32; 2],
}

/// Runs all processes.
pub(crate) fn run(directory: &Path) -> Result<Truth> {
    let ledger = Ledger::new("budget");
    let shared = sys::shared_memory(PAGE).context("cannot share memory")?;
    let results = shared.cast::<Bounds>();
    let ends = Ends {
        // SAFETY: within the page, beyond the results.
        lock: unsafe { shared.add(PAGE / 2) }.cast(),
        peer: connection().context("cannot connect to itself")?,
        file: directory.join("waited"),
        // SAFETY: the kernel writes two descriptors into an array of two.
        pipe: pair(|ends| unsafe { libc::pipe(ends) })?,
        // SAFETY: likewise.
        poll: pair(|ends| unsafe { libc::pipe(ends) })?,
    };
    let mut children = Vec::new();
    for (index, (name, _)) in PARTS.iter().enumerate() {
        // SAFETY: within the page; each child writes its own.
        let result = unsafe { &*results.add(index) };
        match sys::fork().context("cannot fork")? {
            Some(pid) => children.push(pid),
            None => child(name, &ends, result),
        }
    }
    act(&ends, children[6]).context("cannot wake the children")?;
    for pid in children {
        sys::wait(pid).context("cannot wait for a child")?;
    }
    let peer = ends.peer[0].peer_addr().context("a peer")?.to_string();
    let path = ends.file.to_string_lossy().into_owned();
    let mut truth = ledger.close();
    for (index, (name, kind)) in PARTS.iter().enumerate() {
        // SAFETY: as above; the child has ended.
        let [min_ns, max_ns] = unsafe { &*results.add(index) };
        truth.waits.push(WaitTruth {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            min_ns: min_ns.load(Ordering::Acquire),
            max_ns: max_ns.load(Ordering::Acquire),
            file: (*kind == "disk").then(|| path.clone()),
            peer: (*kind == "network").then(|| peer.clone()),
        });
    }
    Ok(truth)
}

fn pair(make: impl FnOnce(*mut i32) -> i32) -> io::Result<[i32; 2]> {
    let mut ends = [0; 2];
    sys::check(make(ends.as_mut_ptr()))?;
    Ok(ends)
}

/// Both ends of a TCP connection.
fn connection() -> io::Result<[TcpStream; 2]> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    Ok([client, server])
}

/// Gives each child what it waits for.
fn act(ends: &Ends, stopped: u32) -> io::Result<()> {
    sleep(STEP);
    write(ends.peer[1].as_raw_fd())?;
    sleep(STEP);
    write(ends.peer[1].as_raw_fd())?;
    write(ends.pipe[1])?;
    write(ends.poll[1])?;
    // SAFETY: the word is in memory that stays until the end.
    unsafe {
        (*ends.lock).store(1, Ordering::Release);
        sys::count(libc::syscall(libc::SYS_futex, ends.lock, libc::FUTEX_WAKE, 1) as isize)?;
    }
    sleep(STEP);
    // SAFETY: a child of this process.
    sys::check(unsafe { libc::kill(stopped as i32, libc::SIGCONT) })
}

fn write(end: i32) -> io::Result<()> {
    // SAFETY: one byte of a live array.
    sys::count(unsafe { libc::write(end, [1_u8].as_ptr().cast(), 1) }).map(drop)
}

fn read(end: i32) -> io::Result<()> {
    let mut byte = [0_u8];
    // SAFETY: one byte of a live array.
    sys::count(unsafe { libc::read(end, byte.as_mut_ptr().cast(), 1) }).map(drop)
}

/// What a child does. It ends with 1 if it could not.
fn child(name: &str, ends: &Ends, result: &Bounds) -> ! {
    let named = CString::new(name).map_err(io::Error::other);
    let done = named
        .and_then(|name| sys::set_name(&name))
        .and_then(|()| wait(name, ends));
    match done {
        Ok(bounds) => {
            for (result, ns) in result.iter().zip(bounds) {
                result.store(ns, Ordering::Release);
            }
            sys::exit(0)
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            sys::exit(1)
        }
    }
}

/// The bounds of what it waited.
fn wait(name: &str, ends: &Ends) -> io::Result<[u64; 2]> {
    if name.starts_with("b-core") {
        // Until its end it may wait once more.
        return wait_for_core().map(|ns| [ns, ns + SHARED_NS / 5]);
    }
    if name == "b-disk" {
        return wait_for_disk(&ends.file);
    }
    let before = run_delay()?;
    let begin = Instant::now();
    let after = run_delay()?;
    match name {
        "b-sleep" => sleep(LONG),
        "b-lock" => lock(ends.lock)?,
        "b-peer" => {
            read(ends.peer[0].as_raw_fd())?;
            read(ends.peer[0].as_raw_fd())?;
        }
        "b-pipe" => read(ends.pipe[0])?,
        "b-poll" => {
            let mut poll = libc::pollfd {
                fd: ends.poll[0],
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one entry, which is live.
            sys::check(unsafe { libc::poll(&mut poll, 1, -1) })?;
        }
        "b-child" => match sys::fork()? {
            Some(pid) => {
                sys::wait(pid)?;
            }
            None => {
                sleep(STEP);
                sys::exit(0)
            }
        },
        _ => sys::kill_self(libc::SIGSTOP)?,
    }
    let least = run_delay()? - after;
    let waited = begin.elapsed().as_nanos() as u64;
    let most = run_delay()? - before;
    Ok([most, least].map(|delay| waited.saturating_sub(delay)))
}

/// Writes to a file, and waits until the disk has it. The bounds of the time in which it neither ran nor waited
/// for a core.
fn wait_for_disk(path: &Path) -> io::Result<[u64; 2]> {
    let file = File::create(path)?;
    let data = vec![0x5a; WRITE];
    let taken_before = taken_ns()?;
    let before = run_delay()?;
    let (begin, used) = (Instant::now(), sys::cpu_ns()?);
    let after = run_delay()?;
    loop {
        sys::pwrite(&file, &data, 0)?;
        file.sync_data()?;
        let least = run_delay()? - after;
        let passed = begin.elapsed();
        let ran = sys::cpu_ns()? - used;
        let most = run_delay()? - before;
        let waited = (passed.as_nanos() as u64).saturating_sub(ran);
        // Time that interrupts took while it ran is in no CPU time, and no wait either.
        let most = most + taken_ns()?.saturating_sub(taken_before);
        let bounds = [most, least].map(|delay| waited.saturating_sub(delay));
        if bounds[0] >= DISK.as_nanos() as u64 || passed >= MAX_DISK {
            return Ok(bounds);
        }
    }
}

/// Waits until the word is not 0.
fn lock(word: *const AtomicU32) -> io::Result<()> {
    // SAFETY: the word is in memory that stays until the end.
    while unsafe { (*word).load(Ordering::Acquire) } == 0 {
        // SAFETY: as above; no timeout.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                word,
                libc::FUTEX_WAIT,
                0,
                std::ptr::null::<libc::timespec>(),
            )
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EAGAIN) {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Shares the first core that it may use with another process.
fn wait_for_core() -> io::Result<u64> {
    // SAFETY: a set of cores is numbers, for which zero is valid.
    let mut cores: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let length = size_of::<libc::cpu_set_t>();
    // SAFETY: the pointers are to live locals of that length.
    unsafe {
        sys::check(libc::sched_getaffinity(0, length, &mut cores))?;
        let first = (0..libc::CPU_SETSIZE as usize).find(|core| libc::CPU_ISSET(*core, &cores));
        libc::CPU_ZERO(&mut cores);
        libc::CPU_SET(first.unwrap_or(0), &mut cores);
        sys::check(libc::sched_setaffinity(0, length, &cores))?;
    }
    cpu::burn(SHARED_NS)?;
    run_delay()
}

/// Time that interrupts and the host have taken from all cores, ns: `irq`, `softirq` and `steal` of
/// `/proc/stat` (proc_stat(5)), in ticks of 10 ms.
fn taken_ns() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let all = text.lines().next().unwrap_or_default();
    let ticks = all.split_ascii_whitespace().skip(6).take(3);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(ticks * 10_000_000)
}

/// How long this thread has waited for a core, ns: the second number of its schedstat
/// (Linux Documentation/scheduler/sched-stats.rst).
fn run_delay() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let number = text.split_ascii_whitespace().nth(1);
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| io::Error::other("schedstat has no run delay"))
}
