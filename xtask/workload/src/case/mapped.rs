//! A file that is written and read through a mapping, which no hook counts.

use std::fs::OpenOptions;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ledger::Ledger;
use crate::rare;

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
