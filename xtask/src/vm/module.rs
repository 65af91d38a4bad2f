//! Adds kernel modules to the archive, and a list of them in the order of their dependencies.
//!
//! The dependencies are read from the modules. Debian's packages have no modules.dep: depmod makes
//! it when a kernel is installed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::archive::Archive;
use super::kernel::Unpacked;

/// The modules for containers, their networks and block devices. ext4 and cgroups are built in.
const MODULES: &[&str] = &["overlay", "veth", "bridge", "dummy", "loop", "brd"];

/// The file in the guest that lists the modules to load, one per line.
pub(super) const ORDER_FILE: &str = "/lib/modules/order";

pub(super) fn write(archive: &mut Archive, kernel: &Unpacked) -> Result<()> {
    let mut available = HashMap::new();
    index(&kernel.modules, &mut available)?;
    let mut ordered = Vec::new();
    for name in MODULES {
        visit(name, &available, &mut ordered)?;
    }
    let mut order = String::new();
    for (name, bytes) in ordered {
        let path = format!("/lib/modules/{name}.ko");
        order.push_str(&path);
        order.push('\n');
        archive.file(&path, 0o644, bytes);
    }
    archive.file(ORDER_FILE, 0o644, order.into_bytes());
    Ok(())
}

/// Finds all modules of the kernel, by name.
fn index(folder: &Path, found: &mut HashMap<String, PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            index(&path, found)?;
        } else if let Some((name, "ko" | "ko.xz")) = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.split_once('.'))
        {
            found.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// Appends the module after its dependencies.
fn visit(
    name: &str,
    available: &HashMap<String, PathBuf>,
    ordered: &mut Vec<(String, Vec<u8>)>,
) -> Result<()> {
    if ordered.iter().any(|(other, _)| other == name) {
        return Ok(());
    }
    let path = available
        .get(name)
        .with_context(|| format!("the kernel has no module {name}"))?;
    let bytes = read(path)?;
    for dependency in depends(&bytes) {
        visit(&dependency, available, ordered)?;
    }
    ordered.push((name.to_owned(), bytes));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_none_or(|extension| extension != "xz") {
        return fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    }
    let unpacked = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .arg(path)
        .output();
    let unpacked = unpacked.context("cannot start xz")?;
    if !unpacked.status.success() {
        bail!("xz cannot read {}", path.display());
    }
    Ok(unpacked.stdout)
}

/// Parses the module's entry `depends=`, which ends with a zero byte.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[start + KEY.len()..]
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(value)
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::depends;

    #[test]
    fn dependencies_are_parsed_from_the_module() {
        assert_eq!(
            depends(b"x\0license=GPL\0depends=stp,llc\0name=bridge\0"),
            ["stp", "llc"]
        );
        assert_eq!(depends(b"x\0depends=\0name=stp\0"), [""; 0]);
        assert_eq!(depends(b"no information"), [""; 0]);
    }
}
