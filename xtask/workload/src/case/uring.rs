//! io_uring: reads and writes for which no process made a call of that name.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::Result;
use io_uring::{IoUring, opcode, squeue, types};

use super::file;
use crate::ledger::Ledger;

/// Submits one request and waits for its result.
fn one(ring: &mut IoUring, request: &squeue::Entry) -> io::Result<u64> {
    // SAFETY: the caller waits here until the request is over, so its buffer and its descriptor,
    // borrowed by the caller, outlive it.
    unsafe { ring.submission().push(request) }
        .map_err(|_| io::Error::other("the submission queue is full"))?;
    ring.submit_and_wait(1)?;
    let result = ring
        .completion()
        .next()
        .ok_or_else(|| io::Error::other("io_uring has waited, but nothing is complete"))?
        .result();
    u64::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// Writes `bytes` to `path` and reads them back, one request at a time.
pub(crate) fn there_and_back(
    ledger: &mut Ledger,
    path: &Path,
    bytes: u64,
    block: usize,
) -> Result<()> {
    let mut ring = match IoUring::new(4) {
        Ok(ring) => ring,
        // Not built in, switched off (kernel.io_uring_disabled), or refused by seccomp.
        Err(error) => {
            ledger.unsupported("io_uring_setup", &error);
            return Ok(());
        }
    };
    let name = path.to_string_lossy().into_owned();
    let mut buffer = vec![0x5a_u8; block];
    let to = file::open(ledger, path, true)?;
    file::repeat(bytes, block, |offset, length| {
        let fd = types::Fd(to.as_raw_fd());
        let request = opcode::Write::new(fd, buffer.as_ptr(), length as u32).offset(offset);
        let moved = one(&mut ring, &request.build())?;
        ledger.written(&name, moved);
        Ok(moved)
    })?;
    let from = file::open(ledger, path, false)?;
    file::repeat(bytes, block, |offset, length| {
        let fd = types::Fd(from.as_raw_fd());
        let request = opcode::Read::new(fd, buffer.as_mut_ptr(), length as u32).offset(offset);
        let moved = one(&mut ring, &request.build())?;
        ledger.read(&name, moved);
        Ok(moved)
    })
}
