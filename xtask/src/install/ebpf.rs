//! The toolchain of the kernel side: a compiler with the sources of `core`, and a bpf-linker that
//! links the same LLVM as the compiler.
//!
//! Rustup's compiler is used if it has the component `rust-src`. Otherwise Debian's is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{debian, lock};
use crate::command::{cargo, find, output, run, say};
use crate::project;

/// The version of LLVM in the compiler and in bpf-linker. They must be equal for bpf-linker to read
/// the compiler's bitcode.
const LLVM_VERSION: u32 = 22;
const LINKER_VERSION: &str = "0.13.0";

/// The programs that compile the kernel side.
pub(crate) struct Toolchain {
    pub(crate) cargo: PathBuf,
    pub(crate) rustc: PathBuf,
    pub(crate) linker: PathBuf,
    /// The folder of LLVM's own tools, of the linker's version.
    pub(crate) llvm: PathBuf,
}

/// Finds the toolchain and installs its missing parts.
pub(crate) fn toolchain() -> Result<Toolchain> {
    let (cargo, rustc) = match compiler() {
        Some(found) => found,
        None => {
            debian(
                "a compiler for the kernel side",
                &["rustc-web", "cargo-web", "rust-web-src"],
            )?;
            compiler().context(
                "no compiler has the sources of core: run `rustup component add rust-src`",
            )?
        }
    };
    Ok(Toolchain {
        cargo,
        rustc,
        linker: linker()?,
        llvm: llvm()?,
    })
}

/// A cargo and its rustc, with the sources of `core` and the right LLVM.
fn compiler() -> Option<(PathBuf, PathBuf)> {
    let rustup = Path::new(env!("CARGO")).parent().map(Path::to_path_buf);
    [rustup, Some(PathBuf::from("/usr/bin"))]
        .into_iter()
        .flatten()
        .find_map(|folder| {
            let (cargo, rustc) = (folder.join("cargo"), folder.join("rustc"));
            (cargo.exists() && is_suitable(&rustc)).then_some((cargo, rustc))
        })
}

fn is_suitable(rustc: &Path) -> bool {
    let query = |arguments: &[&str]| output(Command::new(rustc).args(arguments)).ok();
    let Some(sysroot) = rustc
        .exists()
        .then(|| query(&["--print", "sysroot"]))
        .flatten()
    else {
        return false;
    };
    Path::new(&sysroot)
        .join("lib/rustlib/src/rust/library/core/Cargo.toml")
        .exists()
        && query(&["-vV"]).and_then(|text| parse_llvm_version(&text)) == Some(LLVM_VERSION)
}

/// Parses the major version in rustc's line `LLVM version: 22.1.2`.
fn parse_llvm_version(verbose_version: &str) -> Option<u32> {
    let line = verbose_version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}

fn linker() -> Result<PathBuf> {
    let _lock = lock("bpf-linker")?;
    let tools = project::cache().join("tools");
    let installed = tools.join("bin/bpf-linker");
    let candidates = [Some(installed.clone()), find("bpf-linker")];
    if let Some(found) = candidates
        .into_iter()
        .flatten()
        .find(|path| is_right_version(path))
    {
        return Ok(found);
    }
    debian(
        "bpf-linker",
        &[
            "g++",
            "llvm-22-dev",
            "libpolly-22-dev",
            "libzstd-dev",
            "zlib1g-dev",
        ],
    )?;
    say("building bpf-linker, once (one to three minutes)");
    let llvm = format!("/usr/lib/llvm-{LLVM_VERSION}");
    run(cargo("install")
        .args([
            "--quiet",
            "--locked",
            "bpf-linker",
            "--version",
            LINKER_VERSION,
        ])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(&tools)
        .env("LLVM_PREFIX", &llvm)
        .env("LLVM_SYS_221_PREFIX", &llvm)
        // Optimising the linker gains nothing: LLVM does the work, and Debian compiled it.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        // Keeps its build apart from the workspace.
        .env_remove("CARGO_TARGET_DIR"))?;
    if !is_right_version(&installed) {
        bail!(
            "{} was built but does not report version {LINKER_VERSION}",
            installed.display()
        );
    }
    Ok(installed)
}

fn llvm() -> Result<PathBuf> {
    let folder = PathBuf::from(format!("/usr/lib/llvm-{LLVM_VERSION}/bin"));
    if !folder.join("llvm-objcopy").exists() {
        debian("the tools of LLVM", &["llvm-22"])?;
    }
    Ok(folder)
}

fn is_right_version(linker: &Path) -> bool {
    linker.exists()
        && output(Command::new(linker).arg("--version"))
            .is_ok_and(|text| text.split_whitespace().nth(1) == Some(LINKER_VERSION))
}

#[cfg(test)]
mod tests {
    use super::parse_llvm_version;

    #[test]
    fn the_major_version_of_llvm_is_parsed() {
        let text = "rustc 1.96.0 (x)\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(parse_llvm_version(text), Some(22));
        assert_eq!(parse_llvm_version("rustc 1.96.0"), None);
    }
}
