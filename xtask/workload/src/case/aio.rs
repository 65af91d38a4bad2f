//! Asynchronous I/O by `io_submit`, as libaio does it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result};

use super::blocks;
use crate::ledger::Ledger;
use crate::rare;

/// Writes `bytes` to `path` and reads them back, one request at a time: the first half of them by plain
/// requests, the others by vectored ones.
pub(crate) fn there_and_back(
    ledger: &mut Ledger,
    path: &Path,
    bytes: u64,
    block: usize,
) -> Result<()> {
    let queue = match rare::aio_setup(8) {
        Ok(queue) => queue,
        Err(error) => {
            ledger.unsupported("io_setup", &error);
            return Ok(());
        }
    };
    let name = path.to_string_lossy().into_owned();
    let mut buffer = vec![0x5a_u8; block];
    let mut submit = |file: &File, operation: [u16; 2], offset: u64, length: usize| {
        let is_plain = offset < bytes / 2;
        let moved = rare::aio_request(
            queue,
            file.as_raw_fd(),
            operation[usize::from(!is_plain)],
            &mut buffer[..length],
            offset,
        )?;
        Ok::<u64, io::Error>(moved)
    };
    let to = blocks::open(ledger, path, true)?;
    blocks::repeat(bytes, block, |offset, length| {
        let moved = submit(&to, rare::AIO_WRITE, offset, length)?;
        ledger.written(&name, moved);
        Ok(moved)
    })?;
    let from = blocks::open(ledger, path, false)?;
    blocks::repeat(bytes, block, |offset, length| {
        let moved = submit(&from, rare::AIO_READ, offset, length)?;
        ledger.read(&name, moved);
        Ok(moved)
    })
    .context("cannot read back")
}
