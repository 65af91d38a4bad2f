//! What every case with files shares: a file opened, written or read block by block.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ledger::Ledger;
use crate::sys;

/// Opens `path` for writing (new and empty) or for reading, and records it in the ledger.
pub(crate) fn open(ledger: &mut Ledger, path: &Path, writing: bool) -> Result<File> {
    let mut options = OpenOptions::new();
    if writing {
        options.write(true).create(true).truncate(true);
    } else {
        options.read(true);
    }
    let file = options
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    ledger.opened(path);
    Ok(file)
}

/// Repeats `call(offset, length)` until `bytes` are moved.
///
/// A call that moves nothing is an error, as no case reads beyond the end of a file.
pub(crate) fn repeat(
    bytes: u64,
    block: usize,
    mut call: impl FnMut(u64, usize) -> io::Result<u64>,
) -> Result<()> {
    let mut offset = 0;
    while offset < bytes {
        let length = block.min((bytes - offset) as usize);
        let moved = call(offset, length)?;
        ensure!(
            moved > 0,
            "the kernel moved nothing at offset {offset} of {bytes}"
        );
        offset += moved;
    }
    Ok(())
}

/// Writes `bytes` to `path` by `write`, one block a call.
pub(crate) fn fill(ledger: &mut Ledger, path: &Path, bytes: u64, block: usize) -> Result<()> {
    let name = path.to_string_lossy().into_owned();
    let data = vec![0x5a; block];
    let file = open(ledger, path, true)?;
    repeat(bytes, block, |_, length| {
        let moved = sys::write(&file, &data[..length])?;
        ledger.written(&name, moved);
        Ok(moved)
    })
}
