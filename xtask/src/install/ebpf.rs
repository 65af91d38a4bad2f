//! The toolchain of the kernel side: a compiler that has the sources of `core`, and a bpf-linker
//! that links the same LLVM as that compiler. Rustup's is taken when it has the component
//! `rust-src`; Debian packages one that can do it too, and that is what gets installed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::debian;
use crate::{
    command::{cargo, find, output, run, say},
    project,
};

/// The LLVM that bpf-linker is built with; another one cannot read the compiler's bitcode.
const LLVM: u32 = 22;
const LINKER_VERSION: &str = "0.13.0";

/// What compiles the kernel side.
pub(crate) struct Toolchain {
    pub(crate) cargo: PathBuf,
    pub(crate) rustc: PathBuf,
    pub(crate) linker: PathBuf,
}

/// Finds the toolchain, and installs what is missing of it.
pub(crate) fn toolchain() -> Result<Toolchain> {
    let (cargo, rustc) = match compiler() {
        Some(found) => found,
        None => {
            debian(
                "a compiler for the kernel side",
                &["rustc-web", "cargo-web", "rust-web-src"],
            )?;
            compiler().context(
                "no compiler with the sources of core: try `rustup component add rust-src`",
            )?
        }
    };
    Ok(Toolchain {
        cargo,
        rustc,
        linker: linker()?,
    })
}

/// A cargo and its rustc, with sources and the right LLVM.
fn compiler() -> Option<(PathBuf, PathBuf)> {
    let rustup = Path::new(env!("CARGO")).parent().map(Path::to_path_buf);
    [rustup, Some(PathBuf::from("/usr/bin"))]
        .into_iter()
        .flatten()
        .find_map(|folder| {
            let (cargo, rustc) = (folder.join("cargo"), folder.join("rustc"));
            (cargo.exists() && suits(&rustc)).then_some((cargo, rustc))
        })
}

fn suits(rustc: &Path) -> bool {
    let ask = |what: &[&str]| output(Command::new(rustc).args(what)).ok();
    let Some(sysroot) = rustc
        .exists()
        .then(|| ask(&["--print", "sysroot"]))
        .flatten()
    else {
        return false;
    };
    Path::new(&sysroot)
        .join("lib/rustlib/src/rust/library/core/Cargo.toml")
        .exists()
        && ask(&["-vV"]).and_then(|text| llvm_of(&text)) == Some(LLVM)
}

/// The major version in rustc's line `LLVM version: 22.1.2`.
fn llvm_of(verbose_version: &str) -> Option<u32> {
    let line = verbose_version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}

fn linker() -> Result<PathBuf> {
    let own = project::cache().join("tools");
    let installed = own.join("bin/bpf-linker");
    let candidates = [Some(installed.clone()), find("bpf-linker")];
    if let Some(found) = candidates.into_iter().flatten().find(|path| links(path)) {
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
    let llvm = format!("/usr/lib/llvm-{LLVM}");
    run(cargo("install")
        .args([
            "--quiet",
            "--locked",
            "bpf-linker",
            "--version",
            LINKER_VERSION,
        ])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(&own)
        .env("LLVM_PREFIX", &llvm)
        .env("LLVM_SYS_221_PREFIX", &llvm)
        // LLVM does the work, and is compiled already.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        // Its build must not be mixed with ours.
        .env_remove("CARGO_TARGET_DIR"))?;
    if !links(&installed) {
        bail!("{} was built but does not run", installed.display());
    }
    Ok(installed)
}

fn links(linker: &Path) -> bool {
    linker.exists()
        && output(Command::new(linker).arg("--version"))
            .is_ok_and(|text| text.split_whitespace().nth(1) == Some(LINKER_VERSION))
}

#[cfg(test)]
mod tests {
    use super::llvm_of;

    #[test]
    fn llvm_major_is_read_from_rustc() {
        let text = "rustc 1.96.0 (x)\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_of(text), Some(22));
        assert_eq!(llvm_of("rustc 1.96.0"), None);
    }
}
