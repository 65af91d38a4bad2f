//! `build-ebpf`: compiles agent-ebpf for the kernel and puts the object where `agent/build.rs`
//! looks. It has a compiler of its own (`install::ebpf` chooses it), hence a target folder of its
//! own; the rustflags are given here and in no file, so that the object is the same everywhere.

use std::{
    fs,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{
    command::{run as run_command, say},
    install::ebpf,
    project,
};

const KERNEL_TARGET: &str = "bpfel-unknown-none";
const OBJECT: &str = "bubble-agent-ebpf";

pub(crate) fn run() -> Result<ExitCode> {
    build()?;
    Ok(ExitCode::SUCCESS)
}

/// Compiles the kernel side, when anything of it changed.
pub(crate) fn build() -> Result<()> {
    let toolchain = ebpf::toolchain()?;
    let target = project::target().join("ebpf-build");
    // The first word is for aya-ebpf, which reads registers by the architecture it will run on;
    // debug information is what BTF is made from.
    let rustflags = [
        "--cfg=bpf_target_arch=\"x86_64\"",
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        "-Ctarget-cpu=v3",
    ];
    let linker = toolchain
        .linker
        .parent()
        .context("bpf-linker is in no folder")?;
    let path = std::env::join_paths(std::iter::once(linker.to_path_buf()).chain(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()),
    ))
    .context("PATH cannot hold the folder of bpf-linker")?;
    run_command(
        Command::new(&toolchain.cargo)
            .current_dir(project::root().join("agent-ebpf"))
            .args([
                "build",
                "--quiet",
                "--release",
                "-Zbuild-std=core",
                "--target",
                KERNEL_TARGET,
            ])
            // -Zbuild-std is unstable: this lets a stable compiler do it.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", &toolchain.rustc)
            .env("CARGO_ENCODED_RUSTFLAGS", rustflags.join("\x1f"))
            .env("CARGO_TARGET_DIR", &target)
            .env("PATH", path)
            // Set by the Cargo that started us, and meant for its compiler.
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO"),
    )?;
    let built = target.join(KERNEL_TARGET).join("release").join(OBJECT);
    let object = project::ebpf_object();
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(&object).is_ok_and(|old| old == bytes) {
        say(format!("{} is up to date", object.display()));
        return Ok(());
    }
    let folder = object.parent().context("the object has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(&object, bytes).with_context(|| format!("cannot write {}", object.display()))?;
    say(format!("wrote {}", object.display()));
    Ok(())
}
