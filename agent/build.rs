//! Embeds the kernel side, which another compiler makes (`cargo xtask build-ebpf`): its path is
//! handed to the crate as `BUBBLE_EBPF_OBJECT`, for `include_bytes_aligned!`. Without it the agent
//! still builds, with `cfg(no_ebpf_object)`, so that working on the rest needs no eBPF toolchain.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(no_ebpf_object)");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = manifest.parent().unwrap_or(Path::new("."));
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), |folder| workspace.join(folder));
    let folder = target.join("ebpf");
    let object = folder.join("bubble-agent-ebpf");
    // Watched as a folder that exists: a watched file that does not would rebuild the agent each
    // time.
    if fs::create_dir_all(&folder).is_ok() {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    if object.exists() {
        println!("cargo::rustc-env=BUBBLE_EBPF_OBJECT={}", object.display());
    } else {
        println!("cargo::rustc-cfg=no_ebpf_object");
        println!(
            "cargo::warning=built without the kernel side, which counts: run `cargo xtask build-ebpf` and build again"
        );
    }
}
