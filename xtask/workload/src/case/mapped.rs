//! A file that is written and read through mappings. No hook counts the bytes; newer kernels report the
//! page faults.

use std::fs::OpenOptions;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ledger::Ledger;
use crate::{rare, sys};

/// The next page that is read. The kernel maps up to 16 pages around a fault (`fault_around_bytes`).
const STRIDE: usize = 32;

/// Writes `bytes` to `path` and reads them back, all through one mapping.
pub(crate) fn there_and_back(ledger: &mut Ledger, path: &Path, bytes: u64) -> Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    ledger.opened(path);
    file.set_len(bytes)?;
    let sum = rare::through_mapping(&file, bytes as usize, 7)?;
    ensure!(sum == bytes * 7, "the mapping holds {sum}");
    ledger.lost("mapped_file", 1);
    Ok(())
}

/// Makes a file of `bytes` at `path`, and reads some of its pages through a mapping, each by a page fault of
/// its own.
pub(crate) fn pages(ledger: &mut Ledger, path: &Path, bytes: u64) -> Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    ledger.opened(path);
    file.set_len(bytes)?;
    file.sync_all()?;
    let pages = rare::pages_not_cached(&file, bytes as usize, STRIDE)?;
    ledger.lost("mapped_file", 1);
    // tmpfs has page faults of its own, which are not reported.
    ledger.mapped(path, if sys::is_tmpfs(&file)? { 0 } else { pages });
    Ok(())
}
