//! `fuzz`: fuzzes the parsers of untrusted input with libFuzzer.
//!
//! The targets and their seeds are in xtask/fuzz. Inputs that reach new code are stored in
//! .cache/fuzz, and the next run starts from them.
//!
//! Only the crates of this workspace are instrumented (xtask/fuzz/instrument). Their dependencies
//! are those that the tests compiled.

use std::io::{BufRead as _, BufReader};
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, bail, ensure};

use crate::build::{self, Profile, workspace_cargo};
use crate::command::{run as run_command, say, shown};
use crate::{flags, install, project};

/// The targets and their descriptions.
const TARGETS: &[(&str, &str)] = &[
    ("batch", "posts of agents, any bytes"),
    ("capture", "captures of any bytes"),
    (
        "capture_events",
        "captures of valid blocks with any content",
    ),
    ("chisel", "the legacy wire of sysdig's chisel, any bytes"),
    ("sysdig_json", "output of sysdig, read as JSON"),
    ("sysdig_text", "output of sysdig, read as text"),
];

/// Memory that a target may use.
const MAX_MEMORY_MIB: u32 = 512;
/// Time that one input may take.
const INPUT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of an input, in bytes.
const MAX_INPUT: u32 = 64 * 1024;

pub(crate) fn run(flags: &flags::Fuzz) -> Result<ExitCode> {
    if flags.list {
        for (name, about) in TARGETS {
            println!("{name:15} {about}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = |name: &&str| flags.target.as_ref().is_none_or(|wanted| wanted == name);
    let names = TARGETS.iter().map(|(name, _)| *name);
    let chosen: Vec<&str> = names.filter(wanted).collect();
    if chosen.is_empty() {
        bail!("unknown target: `cargo xtask fuzz --list` shows all");
    }
    fuzz(&chosen, flags.seconds)?;
    Ok(ExitCode::SUCCESS)
}

/// Fuzzes each target for so many seconds.
pub(crate) fn all(seconds: u32) -> Result<()> {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    fuzz(&names, seconds)
}

/// Fuzzes as many targets at a time as there are processors.
fn fuzz(targets: &[&str], seconds: u32) -> Result<()> {
    install::cxx()?;
    let folder = project::root().join("xtask/fuzz");
    run_command(
        workspace_cargo("build")
            .args(targets.iter().flat_map(|target| ["--bin", target]))
            .env("RUSTC_WORKSPACE_WRAPPER", folder.join("instrument")),
    )?;
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let waiting = Mutex::new(targets.iter());
    let next = || waiting.lock().ok()?.next();
    let worker = || -> Result<()> {
        while let Some(target) = next() {
            fuzz_one(&folder, target, seconds)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(worker)).collect();
        // Waits for all, even after one has failed.
        threads.into_iter().try_for_each(|thread| {
            let result = thread.join();
            result.unwrap_or_else(|_| bail!("the thread of a target panicked"))
        })
    })
}

/// Fuzzes one target. Prefixes its output with its name.
fn fuzz_one(folder: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = project::cache().join("fuzz").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let artifacts = project::target().join("fuzz");
    fs::create_dir_all(&artifacts)
        .with_context(|| format!("cannot create {}", artifacts.display()))?;
    let mut command = Command::new(build::folder(Profile::Dev).join(target));
    command
        .args([corpus, folder.join("seeds").join(target)])
        .arg(format!(
            "-artifact_prefix={}/{target}-",
            artifacts.display()
        ))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MAX_MEMORY_MIB}"))
        .arg(format!("-timeout={}", INPUT_TIMEOUT.as_secs()))
        .arg(format!("-max_len={MAX_INPUT}"))
        .arg("-print_final_stats=1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    say(shown(&command));
    let mut running = command
        .spawn()
        .with_context(|| format!("cannot start {target}"))?;
    if let Some(output) = running.stderr.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.with_context(|| format!("cannot read the output of {target}"))?;
            eprintln!("{target:15} {}", String::from_utf8_lossy(&line));
        }
    }
    let status = running
        .wait()
        .with_context(|| format!("cannot wait for {target}"))?;
    ensure!(
        status.success(),
        "{target} ended with {status}: the input that it failed on is in {}",
        artifacts.display()
    );
    Ok(())
}
