//! Files: a known number of bytes read and written by every kind of call.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bubble_workload::truth::Truth;
use clap::{Args, ValueEnum};

use super::blocks::{fill, open, repeat};
use crate::ledger::Ledger;
use crate::sys;

/// The calls that move the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// `write` a file, `read` it back
    ReadWrite,
    /// `pwrite` a file, `pread` it back
    PreadPwrite,
    /// `writev` a file in four vectors a call, `readv` it back
    ReadvWritev,
    /// from one file to another by `sendfile`
    Sendfile,
    /// from one file through a pipe to another by `splice`
    Splice,
    /// from one file to another by `copy_file_range`
    CopyFileRange,
    /// write a file and read it back through `io_uring`
    IoUring,
    /// the same, with more completions than the queue can hold
    IoUringOverflow,
    /// write a file through `io_uring` without completions
    IoUringSkip,
    /// write files through `io_uring` with a registered file, a kernel thread that submits, and deferred work
    IoUringForms,
    /// through a pipe by a multishot read of `io_uring`
    IoUringMultishot,
    /// write a file and read it back by `io_submit`
    Aio,
    /// write a file and read it back through a mapping
    Mapped,
    /// from one file to another by the `sendfile64` of 32-bit programs
    Narrow,
}

/// Amount and calls.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Calls that move the bytes
    #[arg(long, value_enum)]
    by: By,
    /// Bytes each way
    #[arg(long, default_value_t = 10_240_000)]
    bytes: u64,
    /// Bytes requested in one call
    #[arg(long, default_value_t = 4096)]
    block: usize,
}

/// Size of a page. The kernel copies up to one page with one read and one write.
const PAGE: usize = 4096;

/// The two files of a case. Removed at its end.
struct Pair {
    first: PathBuf,
    second: PathBuf,
}

impl Pair {
    fn new(directory: &Path) -> Self {
        Self {
            first: directory.join("first"),
            second: directory.join("second"),
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // Either may not exist.
        let _ = fs::remove_file(&self.first);
        let _ = fs::remove_file(&self.second);
    }
}

/// Runs the case.
pub(crate) fn run(directory: &Path, options: &Options) -> Result<Truth> {
    let name = options
        .by
        .to_possible_value()
        .map_or_else(String::new, |v| v.get_name().into());
    let mut ledger = Ledger::new(format!("file-{name}"));
    let pair = Pair::new(directory);
    match options.by {
        By::ReadWrite | By::PreadPwrite | By::ReadvWritev => {
            there_and_back(&mut ledger, &pair.first, options)?;
        }
        By::IoUring => {
            super::uring::there_and_back(&mut ledger, &pair.first, options.bytes, options.block)?;
        }
        By::IoUringOverflow => super::uring::overflow(&mut ledger, &pair.first)?,
        By::IoUringSkip => super::uring::skip(&mut ledger, &pair.first)?,
        By::IoUringForms => super::uring::forms(&mut ledger, [&pair.first, &pair.second])?,
        By::IoUringMultishot => super::uring::multishot(&mut ledger)?,
        By::Aio => {
            super::aio::there_and_back(&mut ledger, &pair.first, options.bytes, options.block)?;
        }
        By::Mapped => {
            super::mapped::there_and_back(&mut ledger, &pair.first, options.bytes)?;
            super::mapped::pages(&mut ledger, &pair.second, options.bytes)?;
        }
        By::Narrow => {
            let files = [pair.first.as_path(), pair.second.as_path()];
            super::narrow::copy(&mut ledger, files, options.bytes, options.block)?;
        }
        By::Sendfile | By::CopyFileRange => copy(&mut ledger, &pair, options)?,
        By::Splice => through_a_pipe(&mut ledger, &pair, options)?,
    }
    Ok(ledger.close())
}

fn there_and_back(ledger: &mut Ledger, path: &Path, options: &Options) -> Result<()> {
    let name = path.to_string_lossy().into_owned();
    let mut buffer = vec![0x5a; options.block];
    let file = open(ledger, path, true)?;
    repeat(options.bytes, options.block, |offset, length| {
        let moved = match options.by {
            By::PreadPwrite => sys::pwrite(&file, &buffer[..length], offset)?,
            By::ReadvWritev => sys::writev(&file, &buffer[..length])?,
            _ => sys::write(&file, &buffer[..length])?,
        };
        ledger.written(&name, moved);
        Ok(moved)
    })?;
    let file = open(ledger, path, false)?;
    repeat(options.bytes, options.block, |offset, length| {
        let moved = match options.by {
            By::PreadPwrite => sys::pread(&file, &mut buffer[..length], offset)?,
            By::ReadvWritev => sys::readv(&file, &mut buffer[..length])?,
            _ => sys::read(&file, &mut buffer[..length])?,
        };
        ledger.read(&name, moved);
        Ok(moved)
    })
}

fn copy(ledger: &mut Ledger, pair: &Pair, options: &Options) -> Result<()> {
    fill(ledger, &pair.first, options.bytes, PAGE)?;
    let (first, second) = (pair.first.to_string_lossy(), pair.second.to_string_lossy());
    let from = open(ledger, &pair.first, false)?;
    let to = open(ledger, &pair.second, true)?;
    if options.block > PAGE {
        ledger.operations_differ();
    }
    repeat(options.bytes, options.block, |_, length| {
        let moved = match options.by {
            By::CopyFileRange => sys::copy_file_range(&from, &to, length)?,
            _ => sys::sendfile(&to, &from, length)?,
        };
        ledger.read(&first, moved);
        ledger.written(&second, moved);
        Ok(moved)
    })
}

fn through_a_pipe(ledger: &mut Ledger, pair: &Pair, options: &Options) -> Result<()> {
    fill(ledger, &pair.first, options.bytes, PAGE)?;
    let (first, second) = (pair.first.to_string_lossy(), pair.second.to_string_lossy());
    let from = open(ledger, &pair.first, false)?;
    let to = open(ledger, &pair.second, true)?;
    let (out_of_pipe, into_pipe) = sys::pipe().context("cannot make a pipe")?;
    let pipe = format!("pipe:[{}]", sys::inode(&into_pipe)?);
    if options.block > PAGE {
        ledger.operations_differ();
    }
    repeat(options.bytes, options.block, |_, length| {
        let held = sys::splice(&from, &into_pipe, length)?;
        ledger.read(&first, held);
        ledger.written(&pipe, held);
        let mut left = held;
        while left > 0 {
            let moved = sys::splice(&out_of_pipe, &to, left as usize)?;
            ledger.read(&pipe, moved);
            ledger.written(&second, moved);
            left -= moved;
        }
        Ok(held)
    })
}
