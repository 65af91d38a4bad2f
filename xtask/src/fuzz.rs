//! `fuzz`: readers of what strangers write are fed with anything, by libFuzzer, as long as one
//! likes. The targets are in xtask/fuzz/, with the inputs that they begin from (its seeds/); those
//! that are found are kept in .cache/fuzz, and so the next run goes on from there.
//!
//! The crates of this workspace are instrumented (xtask/fuzz/instrument); what they depend on is
//! what the tests were compiled with.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    num::NonZero,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    build::workspace_cargo,
    command::{run as run_command, say, shown},
    flags, project,
};

/// What can be fuzzed, and what it is.
const TARGETS: &[(&str, &str)] = &[
    ("capture", "captures, of any bytes"),
    (
        "capture_events",
        "captures, of whole blocks with any content",
    ),
    ("chisel", "what sysdig's chisel posts, of any bytes"),
    ("sysdig_json", "what sysdig prints as JSON"),
    ("sysdig_text", "what sysdig prints as text"),
];

/// Memory beyond which a target has failed, in MiB: inputs are small.
const MEMORY: u32 = 512;
/// Seconds that one input may take.
const PATIENCE: u32 = 10;
/// Longest input.
const LONGEST: u32 = 64 * 1024;
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
        bail!("no such target: `cargo xtask fuzz --list` shows them");
    }
    fuzz(&chosen, flags.seconds)?;
    Ok(ExitCode::SUCCESS)
}

/// All targets, for so many seconds each.
pub(crate) fn all(seconds: u32) -> Result<()> {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    fuzz(&names, seconds)
}

/// As many targets at a time as there are processors.
fn fuzz(targets: &[&str], seconds: u32) -> Result<()> {
    let folder = project::root().join("xtask/fuzz");
    run_command(
        workspace_cargo("build")
            .args(targets.iter().flat_map(|target| ["--bin", target]))
            .env("RUSTC_WORKSPACE_WRAPPER", folder.join("instrument")),
    )?;
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let waiting = Mutex::new(targets.iter());
    let next = || waiting.lock().ok()?.next();
    let one_after_the_other = || -> Result<()> {
        while let Some(target) = next() {
            fuzz_one(&folder, target, seconds)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..processors)
            .map(|_| scope.spawn(one_after_the_other))
            .collect();
        // All are waited for, also where one has failed.
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| bail!("a thread that runs a target has panicked"))
        })
    })
}

/// What it prints is printed with its name before each line.
fn fuzz_one(folder: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = project::cache().join("fuzz").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    let failed = project::target().join("fuzz");
    fs::create_dir_all(&failed).with_context(|| format!("cannot make {}", failed.display()))?;
    let mut command = Command::new(project::target().join("debug").join(target));
    command
        .args([corpus, folder.join("seeds").join(target)])
        .arg(format!("-artifact_prefix={}/{target}-", failed.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-timeout={PATIENCE}"))
        .arg(format!("-max_len={LONGEST}"))
        .arg("-print_final_stats=1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    say(shown(&command));
    let mut running = command
        .spawn()
        .with_context(|| format!("cannot start {target}"))?;
    if let Some(said) = running.stderr.take() {
        for line in BufReader::new(said).split(b'\n') {
            let line = line.with_context(|| format!("cannot read what {target} says"))?;
            eprintln!("{target:15} {}", String::from_utf8_lossy(&line));
        }
    }
    let status = running
        .wait()
        .with_context(|| format!("cannot wait for {target}"))?;
    ensure!(
        status.success(),
        "{target} ended with {status}: what it failed on is in {}",
        failed.display()
    );
    Ok(())
}
