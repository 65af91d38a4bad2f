//! `build-ebpf`: compiles agent-ebpf for the kernel into agent/ebpf/, from where the agent embeds
//! it.
//!
//! The object is checked in, so that building the agent takes neither LLVM nor the compiler of the
//! kernel side. A manifest beside it records the sources that it was compiled from: [`check`] finds
//! an object that is out of date without compiling anything, and [`verify`] compiles it again and
//! compares the bytes. For that to work anywhere, no path of a machine may get into the object.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::command::{output, run as run_command, say};
use crate::install::ebpf::{self, Toolchain};
use crate::project;

const KERNEL_TARGET: &str = "bpfel-unknown-none";
const PROGRAM: &str = "bubble-agent-ebpf";
/// What to do about an object that is out of date.
const ADVICE: &str = "run `cargo xtask build-ebpf` and commit agent/ebpf/";

/// The sources of the object.
const SOURCES: &[&str] = &[
    "agent-ebpf/Cargo.lock",
    "agent-ebpf/Cargo.toml",
    "agent-ebpf/src",
    "common/src/kernel",
    "common/src/lib.rs",
];

const RUSTFLAGS: &[&str] = &[
    // aya-ebpf reads registers of the architecture that the program runs on.
    "--cfg=bpf_target_arch=\"x86_64\"",
    // BTF is made from debug information.
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    "-Ctarget-cpu=v3",
];

/// The sources and tools that made the checked-in object.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// SHA-256 over the paths and the contents of [`SOURCES`].
    sources: String,
    /// SHA-256 of the object.
    object: String,
    /// The first line of `rustc --version`.
    compiler: String,
    /// `bpf-linker --version`.
    linker: String,
    rustflags: Vec<String>,
}

pub(crate) fn run() -> Result<ExitCode> {
    let (object, manifest) = compile()?;
    let path = object_path();
    let folder = path.parent().context("the object has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (path, bytes) in [
        (&path, object),
        (&manifest_path(), toml::to_string(&manifest)?.into_bytes()),
    ] {
        if fs::read(path).is_ok_and(|old| old == bytes) {
            say(format!("{} is up to date", path.display()));
        } else {
            fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
            say(format!("wrote {}", path.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares the manifest with the sources and the object.
pub(crate) fn check() -> Result<()> {
    let path = manifest_path();
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}: {ADVICE}", path.display()))?;
    let manifest: Manifest = toml::from_str(&text)
        .with_context(|| format!("cannot read {}: {ADVICE}", path.display()))?;
    ensure!(
        manifest.sources == hash_sources()? && manifest.rustflags == RUSTFLAGS,
        "the compiled kernel side is older than its sources: {ADVICE}"
    );
    let object = read(&object_path())?;
    ensure!(
        manifest.object == hex(&Sha256::digest(&object)),
        "{} is not the object in its manifest: {ADVICE}",
        object_path().display()
    );
    Ok(())
}

/// Compiles the kernel side again and compares the bytes with the object that is checked in.
pub(crate) fn verify() -> Result<()> {
    check()?;
    let (object, manifest) = compile()?;
    let committed: Manifest = toml::from_str(&fs::read_to_string(manifest_path())?)?;
    ensure!(
        committed.compiler == manifest.compiler && committed.linker == manifest.linker,
        "the compiled kernel side was made by {} and {}, but this machine has {} and {}: {ADVICE}",
        committed.compiler,
        committed.linker,
        manifest.compiler,
        manifest.linker
    );
    ensure!(
        object == read(&object_path())?,
        "compiling the kernel side again gives other bytes: {ADVICE}"
    );
    say("compiling the kernel side again gives the same bytes");
    Ok(())
}

fn object_path() -> PathBuf {
    project::root().join("agent/ebpf/x86_64.o")
}

fn manifest_path() -> PathBuf {
    project::root().join("agent/ebpf/manifest.toml")
}

/// Compiles the kernel side and returns the object, without debug information, and its manifest.
fn compile() -> Result<(Vec<u8>, Manifest)> {
    let toolchain = ebpf::toolchain()?;
    let target = project::target().join("ebpf-build");
    run_command(&mut cargo_build(&toolchain, &target)?)?;
    let built = target.join(KERNEL_TARGET).join("release").join(PROGRAM);
    let stripped = target.join("stripped.o");
    let symbols = target.join("symbols");
    let names = output(
        Command::new(toolchain.llvm.join("llvm-nm"))
            .arg("--format=just-symbols")
            .arg(&built),
    )?;
    fs::write(&symbols, renamed_symbols(&names))
        .with_context(|| format!("cannot write {}", symbols.display()))?;
    run_command(
        Command::new(toolchain.llvm.join("llvm-objcopy"))
            // Keeps BTF. Nothing reads DWARF, four fifths of the file.
            .arg("--strip-debug")
            .arg(format!("--redefine-syms={}", symbols.display()))
            .args([&built, &stripped]),
    )?;
    let object = read(&stripped)?;
    if let Some(name) = hashed_name(&object) {
        bail!(
            "the object has the name {name}, which depends on the folder of the project: \
             put #[unsafe(no_mangle)] on that static"
        );
    }
    let manifest = Manifest {
        sources: hash_sources()?,
        object: hex(&Sha256::digest(&object)),
        compiler: output(Command::new(&toolchain.rustc).arg("--version"))?,
        linker: output(Command::new(&toolchain.linker).arg("--version"))?,
        rustflags: RUSTFLAGS.iter().copied().map(str::to_owned).collect(),
    };
    Ok((object, manifest))
}

fn cargo_build(toolchain: &Toolchain, target: &Path) -> Result<Command> {
    let linker = toolchain
        .linker
        .parent()
        .context("bpf-linker is in no folder")?;
    let path = env::join_paths(
        std::iter::once(linker.to_path_buf())
            .chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )
    .context("PATH cannot hold the folder of bpf-linker")?;
    let mut flags: OsString = RUSTFLAGS.join("\x1f").into();
    for (from, to) in remapped_paths(toolchain)? {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    let mut command = Command::new(&toolchain.cargo);
    command
        .current_dir(project::root().join("agent-ebpf"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "-Zbuild-std=core",
        ])
        .args(["--target", KERNEL_TARGET])
        // Allows -Zbuild-std, which is unstable, with a stable compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_TARGET_DIR", target)
        .env("PATH", path)
        // Set for the compiler of the Cargo that runs `cargo xtask`.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO");
    Ok(command)
}

/// The folders of this machine that would appear in the object, and their replacements.
fn remapped_paths(toolchain: &Toolchain) -> Result<Vec<(PathBuf, &'static str)>> {
    let sysroot = output(Command::new(&toolchain.rustc).args(["--print", "sysroot"]))?;
    let mut paths = vec![
        (project::root(), "bubble-chamber"),
        (PathBuf::from(sysroot), "rust"),
    ];
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cargo"))
    });
    // The name of a registry's folder contains a hash of its address.
    let registries = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    for registry in registries.into_iter().flatten() {
        paths.push((registry?.path(), "crates"));
    }
    Ok(paths)
}

/// Lines of "old new" that remove the hashes of crates from the names of functions. Cargo derives
/// them from the path of bubble-common, which is outside the workspace of agent-ebpf.
fn renamed_symbols(names: &str) -> String {
    names
        .lines()
        .filter(|name| name.starts_with("_R"))
        .map(|name| format!("{name} {}\n", without_crate_hash(name)))
        .collect()
}

/// The symbol without crate disambiguators: `Cs` base-62 `_` in Rust's v0 mangling (RFC 2603).
fn without_crate_hash(symbol: &str) -> String {
    let mut parts = symbol.split("Cs");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| match part.split_once('_') {
        Some((hash, rest)) if hash.chars().all(|c| c.is_ascii_alphanumeric()) => {
            format!("{name}C{rest}")
        }
        _ => format!("{name}Cs{part}"),
    })
}

/// A name of the kernel side with the hash of its crate, if the object has one.
fn hashed_name(object: &[u8]) -> Option<String> {
    object
        .split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
        .filter_map(|word| std::str::from_utf8(word).ok())
        .find(|word| word.starts_with("_R") && without_crate_hash(word) != *word)
        .map(str::to_owned)
}

fn hash_sources() -> Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        list_files(&project::root().join(source), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(project::root())?.to_string_lossy();
        let content = read(&file)?;
        // With lengths, two different lists cannot have the same bytes.
        hash.update(format!("{name} {}\n", content.len()));
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

/// Adds the files at and below `path`.
fn list_files(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    for entry in entries {
        list_files(&entry?.path(), files)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn crate_hashes_are_removed_from_symbols() {
        assert_eq!(
            super::without_crate_hash("_RNvNtCsRxDMkBGECc_17bubble_agent_ebpf7syscall3did"),
            "_RNvNtC17bubble_agent_ebpf7syscall3did"
        );
        assert_eq!(super::without_crate_hash("_RNvCs_4file"), "_RNvC4file");
        assert_eq!(super::without_crate_hash("plain"), "plain");
    }

    #[test]
    fn a_name_with_the_hash_of_a_crate_is_found() {
        let object =
            b"\0_RNvNtC17bubble_agent_ebpf3log4NAME\0_RNvNtCs6Ef1_17bubble_agent_ebpf3log5TEXTS\0";
        let found = super::hashed_name(object);
        assert_eq!(
            found.as_deref(),
            Some("_RNvNtCs6Ef1_17bubble_agent_ebpf3log5TEXTS")
        );
        assert_eq!(super::hashed_name(&object[..30]), None);
    }

    #[test]
    fn the_compiled_kernel_side_is_up_to_date() {
        super::check().unwrap();
    }
}
