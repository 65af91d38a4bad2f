//! Events of a capture that the agent counts per second, by file and compression, beside those
//! that sysdig reads with its own chisel for sums by descriptor; and lines of sysdig's output per
//! second, as JSON and as text.
//!
//! `cargo xtask bench capture` runs it and prints a table. Files are made of real captures, with
//! their events repeated at later times: our own, and `502error.scap` if it is in `captures` in
//! the folder that `BUBBLE_CAPTURES` names. Each reading is a process of its own, ours and
//! sysdig's by turns. The rate is that of the median round, by the CPU time of all its threads:
//! that of one core, and other work on the machine changes it little.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use bubble_agent::source::recording::input::Input;
use bubble_agent::source::recording::{Recording, Step};
use bubble_agent::source::scap::{Capture, Options};
use bubble_agent::source::sysdig::{Syntax, Sysdig};
use bubble_agent::window::Window;
use bubble_common::segment::SourceId;
use bubble_testing::captures;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Rounds; their median counts.
const ROUNDS: usize = 5;
/// How often sysdig's output is repeated.
const REPETITIONS: u64 = 100;
const UNIT: &str = "events/s";
const SECOND: u64 = 1_000_000_000;
/// The chisel that sysdig runs; it counts reads and writes only.
const CHISEL: [&str; 3] = ["-c", "fdbytes_by", "fd.name"];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A capture to be made and read.
struct Case {
    name: &'static str,
    source: PathBuf,
    times: u64,
    /// sysdig 0.29.3 knows its events.
    sysdig: bool,
}

/// The cost of a reading.
#[derive(Clone, Copy)]
struct Cost {
    /// CPU time of all threads, in seconds.
    cpu: f64,
    /// By the clock, in seconds.
    wall: f64,
    /// Highest memory, in MiB.
    memory: f64,
}

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match &arguments[..] {
        [] => run(),
        [file] => {
            println!("{}", read(Path::new(file))?);
            Ok(())
        }
        // A process of its own, as the memory that it takes would be counted to those it starts.
        [_make, folder] => make(Path::new(folder)),
        _ => Err("unexpected arguments: expected none".into()),
    }
}

/// The foreign capture.
fn foreign_capture() -> PathBuf {
    captures::folder().join("captures/502error.scap")
}

fn cases() -> [Case; 2] {
    [
        Case {
            name: "containers",
            source: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/containers.scap"),
            times: 10,
            sysdig: false,
        },
        Case {
            name: "502error",
            source: foreign_capture(),
            times: 40,
            sysdig: true,
        },
    ]
}

fn run() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("bubble-bench-capture-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = run_command(&[
        std::env::current_exe()?.into(),
        "make".into(),
        folder.clone().into(),
    ])
    .and_then(|_| cases().iter().try_for_each(|case| measure(case, &folder)))
    .and_then(|()| measure_lines(&folder));
    fs::remove_dir_all(&folder)?;
    result
}

/// Makes all files that are measured.
fn make(folder: &Path) -> Result<()> {
    for case in cases() {
        if !case.source.exists() {
            eprintln!("NOT MEASURED: {} is not there", case.source.display());
            continue;
        }
        for compressed in [false, true] {
            repeat(&case, &case.file(folder, compressed), compressed)?;
        }
    }
    make_lines(&foreign_capture(), folder)
}

impl Case {
    fn file(&self, folder: &Path, compressed: bool) -> PathBuf {
        let kind = if compressed { "gzip" } else { "plain" };
        folder.join(format!("{}.{kind}.scap", self.name))
    }
}

/// The number of events (or lines) that our reader finds in a file.
fn events(own: &[OsString]) -> Result<u64> {
    let output = Command::new(&own[0]).args(&own[1..]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

/// Reads a recording as `analyse` does; returns the number of events.
fn read(file: &Path) -> Result<u64> {
    let input = Input::open(file)?;
    match file.extension().and_then(|kind| kind.to_str()) {
        Some("json") => read_all(Sysdig::new(input, Syntax::Json, None)),
        Some("txt") => read_all(Sysdig::new(input, Syntax::Text, None)),
        _ => read_all(Capture::new(input, Options::default())),
    }
}

fn read_all(mut recording: impl Recording) -> Result<u64> {
    let mut window = Window::new(SourceId([1; 16]), 0);
    while recording.step(&mut window)? == Step::More {
        window.take_closed();
    }
    window.close_all();
    Ok(recording.position().events)
}

/// Makes files of sysdig's output for a capture, repeated with later times.
fn make_lines(capture: &Path, folder: &Path) -> Result<()> {
    if !capture.exists() {
        return Ok(());
    }
    for (kind, arguments) in [("json", &["-j"][..]), ("txt", &["-t", "a"])] {
        let printed = Command::new("sysdig")
            .arg("-r")
            .arg(capture)
            .arg("-pc")
            .args(arguments)
            .output()?;
        let printed = String::from_utf8(printed.stdout)?;
        repeat_lines(&printed, &folder.join("lines").with_extension(kind))?;
    }
    Ok(())
}

fn measure_lines(folder: &Path) -> Result<()> {
    for (name, kind) in [("json", "json"), ("text", "txt")] {
        let file = folder.join("lines").with_extension(kind);
        if !file.exists() {
            continue;
        }
        let own = vec![std::env::current_exe()?.into(), file.into()];
        let lines = events(&own)?;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(run_command(&own)?);
        }
        print(name, "bubble-agent", (lines, "lines/s"), &mut rounds, None);
    }
    Ok(())
}

/// Splits a line at its seconds: the part before, the seconds, and the rest.
fn split_at_seconds(line: &str) -> Option<(&str, u64, &str)> {
    const KEY: &str = "\"evt.outputtime\":";
    let begin = match line.find(KEY) {
        Some(at) => at + KEY.len(),
        None => line.find(' ')? + 1,
    };
    let seconds = line.get(begin..begin + 10)?.parse().ok()?;
    Some((&line[..begin], seconds, &line[begin + 10..]))
}

/// Writes the lines [`REPETITIONS`] times, each time some seconds later.
fn repeat_lines(printed: &str, file: &Path) -> Result<()> {
    let lines: Vec<_> = printed.lines().filter_map(split_at_seconds).collect();
    let of = lines.iter().map(|(_, second, _)| *second);
    let span = of.clone().max().unwrap_or(0) - of.min().unwrap_or(0) + 1;
    let mut out = BufWriter::new(File::create(file)?);
    for turn in 0..REPETITIONS {
        for (before, second, after) in &lines {
            writeln!(out, "{before}{}{after}", second + turn * span)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn measure(case: &Case, folder: &Path) -> Result<()> {
    for compressed in [false, true] {
        let file = case.file(folder, compressed);
        if !file.exists() {
            continue;
        }
        let own = vec![std::env::current_exe()?.into(), file.clone().into()];
        let mut sysdig: Vec<OsString> = vec!["sysdig".into(), "-r".into(), file.into()];
        sysdig.extend(CHISEL.map(OsString::from));
        let events = events(&own)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(run_command(&own)?);
            if case.sysdig {
                theirs.push(run_command(&sysdig)?);
            }
        }
        let kind = if compressed { "gzip" } else { "plain" };
        let name = format!("{}×{}, {kind}", case.name, case.times);
        let own = print(&name, "bubble-agent", (events, UNIT), &mut ours, None);
        if case.sysdig {
            print(
                &name,
                "sysdig fdbytes_by",
                (events, UNIT),
                &mut theirs,
                Some(own),
            );
        }
    }
    Ok(())
}

/// Prints the median of the rounds, and how many times as fast ours is as the other one.
fn print(
    case: &str,
    variant: &str,
    (events, unit): (u64, &str),
    rounds: &mut [Cost],
    other: Option<f64>,
) -> f64 {
    rounds.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let median = rounds[rounds.len() / 2];
    let memory = rounds
        .iter()
        .fold(0.0, |most: f64, took| most.max(took.memory));
    let rate = events as f64 / median.cpu;
    let ratio = other.map_or(String::new(), |other| {
        format!(r#","ours_to_it":{:.1}"#, other / rate)
    });
    println!(
        r#"{{"bench":"capture","case":"{case}","variant":"{variant}","value":{rate:.0},"unit":"{unit}","events":{events},"wall_s":{:.3},"memory_mib":{memory:.1}{ratio}}}"#,
        median.wall
    );
    rate
}

/// Runs a command to its end; returns its cost.
fn run_command(command: &[OsString]) -> Result<Cost> {
    let start = Instant::now();
    let child = Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", command[0].display()))?;
    let mut status = 0;
    // SAFETY: a rusage of zeros is a value of its type.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is ours and was not waited for; both places may be written.
    let waited = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage) };
    if waited < 0 {
        return Err(io::Error::last_os_error().into());
    }
    if status != 0 {
        return Err(format!("{} ended with {status}", command[0].display()).into());
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Cost {
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        wall: start.elapsed().as_secs_f64(),
        memory: usage.ru_maxrss as f64 / 1024.0,
    })
}

/// Makes a capture of another: its lists once, its events several times.
fn repeat(case: &Case, file: &Path, compressed: bool) -> Result<()> {
    let mut content = fs::read(&case.source)?;
    if content.starts_with(&[0x1f, 0x8b]) {
        let stored = std::mem::take(&mut content);
        io::copy(&mut MultiGzDecoder::new(&stored[..]), &mut content)?;
    }
    let number = |at: usize| u32::from_le_bytes(content[at..at + 4].try_into().unwrap_or_default());
    let (mut head, mut events) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at + 12 <= content.len() {
        let length = number(at + 4) as usize;
        let block = &content[at..at + length];
        match number(at) {
            0x204 | 0x216 => events.extend_from_slice(block),
            _ => head.extend_from_slice(block),
        }
        at += length;
    }
    let mut times = Vec::new();
    let mut at = 0;
    while at < events.len() {
        // The core comes before the event, and the time is its first field.
        let time: [u8; 8] = events[at + 10..at + 18].try_into()?;
        match u64::from_le_bytes(time) {
            0 => {}
            time => times.push((at + 10, time)),
        }
        at += u32::from_le_bytes(events[at + 4..at + 8].try_into()?) as usize;
    }
    let of = times.iter().map(|(_, time)| *time);
    let span = of.clone().max().unwrap_or(0) - of.min().unwrap_or(0);
    let span = (span / SECOND + 2) * SECOND;

    let out = BufWriter::new(File::create(file)?);
    let mut out: Box<dyn Write> = match compressed {
        true => Box::new(GzEncoder::new(out, Compression::default())),
        false => Box::new(out),
    };
    out.write_all(&head)?;
    for turn in 0..case.times {
        for (at, time) in &times {
            let time = time + turn * span;
            events[*at..at + 8].copy_from_slice(&time.to_le_bytes());
        }
        out.write_all(&events)?;
    }
    out.flush()?;
    Ok(())
}
