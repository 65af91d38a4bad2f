//! `fuzz`: readers of what strangers write are fed with anything, by libFuzzer, as long as one
//! likes. The targets are in fuzz/, with the inputs that they begin from (fuzz/seeds); those
//! that are found are kept in .cache/fuzz, and so the next run goes on from there.
//!
//! The flags are those that cargo-fuzz would set, without the sanitizer of addresses: they
//! are all that the compiler at hand needs, and the readers have no `unsafe`.

use std::{
    fs,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{cargo, run as run_command, say},
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

/// Instrumentation for libFuzzer.
const INSTRUMENT: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table";
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
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

fn fuzz(targets: &[&str], seconds: u32) -> Result<()> {
    let folder = project::root().join("fuzz");
    let built = project::target().join("fuzz");
    run_command(
        cargo("build")
            .args(["--release", "--target", PLATFORM])
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", &built)
            .env("RUSTFLAGS", INSTRUMENT),
    )?;
    for target in targets {
        let corpus = project::cache().join("fuzz").join(target);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        say(format!("{target}: {seconds} seconds"));
        run_command(
            Command::new(built.join(PLATFORM).join("release").join(target))
                .args([corpus, folder.join("seeds").join(target)])
                .arg(format!("-artifact_prefix={}/{target}-", built.display()))
                .arg(format!("-max_total_time={seconds}"))
                .arg(format!("-rss_limit_mb={MEMORY}"))
                .arg(format!("-timeout={PATIENCE}"))
                .arg(format!("-max_len={LONGEST}"))
                .arg("-print_final_stats=1"),
        )
        .with_context(|| format!("what it failed on is in {}", built.display()))?;
    }
    Ok(())
}
