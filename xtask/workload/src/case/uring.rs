//! io_uring: reads and writes without the system calls of that name.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::path::Path;

use anyhow::{Context as _, Result};
use bubble_workload::truth::Truth;
use io_uring::{IoUring, opcode, squeue, types};

use super::blocks;
use super::multipath::exchange;
use crate::ledger::Ledger;
use crate::{rare, sys};

/// Submits one request and waits for its result.
fn submit(ring: &mut IoUring, request: &squeue::Entry) -> io::Result<u64> {
    // SAFETY: this function returns only after the request has completed, so its buffer and its
    // descriptor, which the caller borrows, outlive it.
    unsafe { ring.submission().push(request) }
        .map_err(|_| io::Error::other("the submission queue is full"))?;
    ring.submit_and_wait(1)?;
    let result = ring
        .completion()
        .next()
        .ok_or_else(|| io::Error::other("io_uring returned without a completion"))?
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
        // Not compiled in, disabled (kernel.io_uring_disabled), or refused by seccomp.
        Err(error) => {
            ledger.unsupported("io_uring_setup", &error);
            return Ok(());
        }
    };
    let name = path.to_string_lossy().into_owned();
    let mut buffer = vec![0x5a_u8; block];
    let to = blocks::open(ledger, path, true)?;
    blocks::repeat(bytes, block, |offset, length| {
        let fd = types::Fd(to.as_raw_fd());
        let request = opcode::Write::new(fd, buffer.as_ptr(), length as u32).offset(offset);
        let moved = submit(&mut ring, &request.build())?;
        ledger.written(&name, moved);
        Ok(moved)
    })?;
    let from = blocks::open(ledger, path, false)?;
    blocks::repeat(bytes, block, |offset, length| {
        let fd = types::Fd(from.as_raw_fd());
        let request = opcode::Read::new(fd, buffer.as_mut_ptr(), length as u32).offset(offset);
        let moved = submit(&mut ring, &request.build())?;
        ledger.read(&name, moved);
        Ok(moved)
    })
}

/// Opens a ring, or records that the kernel refuses.
fn ring(ledger: &mut Ledger, entries: u32) -> Option<IoUring> {
    IoUring::new(entries)
        .map_err(|error| ledger.unsupported("io_uring_setup", &error))
        .ok()
}

/// Bytes of each write of the cases below.
const BLOCK: usize = 1000;

/// Pushes one request and submits it.
fn push(ring: &mut IoUring, requests: &[squeue::Entry]) -> Result<()> {
    for request in requests {
        // SAFETY: the callers keep buffers and descriptors until all requests have completed.
        unsafe { ring.submission().push(request) }
            .map_err(|_| io::Error::other("the submission queue is full"))?;
    }
    ring.submit()?;
    Ok(())
}

/// Writes four times as many blocks as the queue of completions can hold, before it looks at one.
pub(crate) fn overflow(ledger: &mut Ledger, path: &Path) -> Result<()> {
    const ENTRIES: u32 = 16;
    let Some(mut ring) = ring(ledger, ENTRIES) else {
        return Ok(());
    };
    let name = path.to_string_lossy().into_owned();
    let buffer = [0x5a_u8; BLOCK];
    let file = blocks::open(ledger, path, true)?;
    // The queue of completions is twice as long as the other.
    let count = ENTRIES as usize * 8;
    for n in 0..count {
        let fd = types::Fd(file.as_raw_fd());
        let request = opcode::Write::new(fd, buffer.as_ptr(), BLOCK as u32);
        push(&mut ring, &[request.offset((n * BLOCK) as u64).build()])?;
    }
    for _ in 0..count {
        if ring.completion().is_empty() {
            ring.submit_and_wait(1)?;
        }
        let result = ring.completion().next().map(|entry| entry.result());
        let moved = result.ok_or_else(|| io::Error::other("a completion is missing"))?;
        ledger.written(&name, u64::try_from(moved).context("a write failed")?);
    }
    Ok(())
}

/// Writes blocks without completions. Each is linked to an operation that has one.
pub(crate) fn skip(ledger: &mut Ledger, path: &Path) -> Result<()> {
    const COUNT: u64 = 50;
    let Some(mut ring) = ring(ledger, 4) else {
        return Ok(());
    };
    let buffer = [0x5a_u8; BLOCK];
    let file = blocks::open(ledger, path, true)?;
    for n in 0..COUNT {
        let fd = types::Fd(file.as_raw_fd());
        let write = opcode::Write::new(fd, buffer.as_ptr(), BLOCK as u32)
            .offset(n * BLOCK as u64)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS | squeue::Flags::IO_LINK);
        push(&mut ring, &[write, opcode::Nop::new().build()])?;
        ring.submit_and_wait(1)?;
        ring.completion().for_each(drop);
    }
    let length = file.metadata()?.len();
    anyhow::ensure!(
        length == COUNT * BLOCK as u64,
        "the file has {length} bytes"
    );
    ledger.lost("io_uring", COUNT);
    Ok(())
}

/// Writes with a ring whose kernel thread submits, with one that defers its work to the task, and to a
/// registered file whose descriptor is closed.
pub(crate) fn forms(ledger: &mut Ledger, [path, registered]: [&Path; 2]) -> Result<()> {
    const COUNT: u64 = 30;
    let name = path.to_string_lossy().into_owned();
    let buffer = [0x5a_u8; BLOCK];
    let mut submitting = IoUring::builder();
    submitting.setup_sqpoll(500);
    let mut deferring = IoUring::builder();
    deferring.setup_defer_taskrun().setup_single_issuer();
    let file = blocks::open(ledger, path, true)?;
    for builder in [submitting, deferring] {
        let mut ring = match builder.build(4) {
            Ok(ring) => ring,
            Err(error) => {
                ledger.unsupported("io_uring_setup", &error);
                return Ok(());
            }
        };
        for n in 0..COUNT {
            let fd = types::Fd(file.as_raw_fd());
            let request = opcode::Write::new(fd, buffer.as_ptr(), BLOCK as u32);
            let moved = submit(&mut ring, &request.offset(n * BLOCK as u64).build())?;
            ledger.written(&name, moved);
        }
    }
    let Some(mut ring) = ring(ledger, 4) else {
        return Ok(());
    };
    let name = registered.to_string_lossy().into_owned();
    let file = blocks::open(ledger, registered, true)?;
    ring.submitter().register_files(&[file.as_raw_fd()])?;
    drop(file);
    for n in 0..COUNT {
        let request = opcode::Write::new(types::Fixed(0), buffer.as_ptr(), BLOCK as u32);
        let moved = submit(&mut ring, &request.offset(n * BLOCK as u64).build())?;
        ledger.written(&name, moved);
    }
    Ok(())
}

/// A connection over TCP that `io_uring` makes and accepts.
pub(crate) fn connection() -> Result<Truth> {
    let mut ledger = Ledger::new("uring-connection");
    let Some(mut ring) = ring(&mut ledger, 4) else {
        return Ok(ledger.close());
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = rare::ipv4(listener.local_addr()?);
    let client = rare::tcp_socket()?;
    let fd = types::Fd(client.as_raw_fd());
    let length = size_of_val(&address) as libc::socklen_t;
    let connect = opcode::Connect::new(fd, (&raw const address).cast(), length);
    submit(&mut ring, &connect.build()).context("cannot connect")?;
    let fd = types::Fd(listener.as_raw_fd());
    let accept = opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut());
    let accepted = submit(&mut ring, &accept.build()).context("cannot accept")?;
    // SAFETY: the descriptor is new, and nothing else owns it.
    let server = unsafe { OwnedFd::from_raw_fd(accepted as i32) };
    exchange(&mut ledger, client.into(), server.into())?;
    Ok(ledger.close())
}

/// Reads from a pipe by one request that completes many times.
pub(crate) fn multishot(ledger: &mut Ledger) -> Result<()> {
    const GROUP: u16 = 0;
    let Some(mut ring) = ring(ledger, 4) else {
        return Ok(());
    };
    let (out_of_pipe, into_pipe) = sys::pipe()?;
    let pipe = format!("pipe:[{}]", sys::inode(&into_pipe)?);
    // The pipe may be closed before the ring, which is one more read: of nothing.
    ledger.operations_differ();
    let mut buffers = vec![0_u8; 16 * 4096];
    let provide = opcode::ProvideBuffers::new(buffers.as_mut_ptr(), 4096, 16, GROUP, 0);
    submit(&mut ring, &provide.build())?;
    let read = opcode::ReadMulti::new(types::Fd(out_of_pipe.as_raw_fd()), 0, GROUP);
    push(&mut ring, &[read.build()])?;
    for _ in 0..10 {
        ledger.written(&pipe, sys::write(&into_pipe, &[0x5a; 700])?);
        ring.submit_and_wait(1)?;
        let result = ring.completion().next().map_or(-1, |entry| entry.result());
        if result == -libc::EINVAL {
            ledger.unsupported("a multishot read", &io::Error::from_raw_os_error(-result));
            return Ok(());
        }
        ledger.read(&pipe, u64::try_from(result).context("a read failed")?);
    }
    Ok(())
}
