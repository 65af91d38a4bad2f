//! Files: a known number of bytes in and out, by every kind of call that can move them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::Truth;
use clap::{Args, ValueEnum};

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
}

/// How much, and how.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Calls that move the bytes
    #[arg(long, value_enum)]
    by: By,
    /// Bytes each way
    #[arg(long, default_value_t = 10_240_000)]
    bytes: u64,
    /// Bytes asked for in one call
    #[arg(long, default_value_t = 4096)]
    block: usize,
}

/// A page: within the kernel a copy of no more than that is one read and one write.
const PAGE: usize = 4096;

/// Opens `path` for writing (new and empty) or for reading, and says so in the ledger.
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

/// Repeats `call(offset, length)` until `bytes` have been moved; a call that moves none is an
/// error, as nothing here reads past an end.
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

/// Writes `bytes` to `path`, `block` by `block`, by `write`.
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

/// The two files of a case, removed when it is over.
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
        // Either may never have been made.
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
