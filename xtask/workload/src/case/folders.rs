//! Paths that change: folders that are made and removed again, and renamed.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::Truth;
use clap::Args;

use crate::ledger::Ledger;
use crate::sys;

/// Amount and place.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Number of files, each in folders of its own
    #[arg(long, default_value_t = 600)]
    count: u32,
    /// Number of different paths
    #[arg(long, default_value_t = 100)]
    paths: u32,
    /// Existing folder for them, instead of `--directory`
    #[arg(long)]
    at: Option<PathBuf>,
}

/// Files between two delays. The agent takes in only so many new paths a second.
const FILES_PER_DELAY: u32 = 25;
const DELAY: Duration = Duration::from_millis(15);

/// Writes and reads back a file in `jobN/out`, removes all of them, and begins again.
pub(crate) fn run(directory: &Path, options: &Options) -> Result<Truth> {
    let mut ledger = Ledger::new("folders");
    let base = options.at.as_deref().unwrap_or(directory);
    for number in 0..options.count {
        let job = base.join(format!("job{:04}", number % options.paths));
        let out = job.join("out");
        fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let path = out.join("data");
        write(&mut ledger, &path, 1000 + number as usize)?;
        if number % 2 == 0 {
            read(&mut ledger, &path)?;
        }
        fs::remove_file(&path)?;
        fs::remove_dir(&out)?;
        fs::remove_dir(&job)?;
        if number % FILES_PER_DELAY == 0 {
            sleep(DELAY);
        }
    }
    Ok(ledger.close())
}

/// Opens a new file and writes `bytes` to it.
fn write(ledger: &mut Ledger, path: &Path, bytes: usize) -> Result<()> {
    let file = super::blocks::open(ledger, path, true)?;
    write_to(ledger, &file, path, bytes)
}

fn write_to(ledger: &mut Ledger, file: &File, path: &Path, bytes: usize) -> Result<()> {
    let moved = sys::write(file, &vec![0x5a; bytes])?;
    ensure!(moved == bytes as u64, "only {moved} of {bytes} bytes");
    ledger.written(&path.to_string_lossy(), moved);
    Ok(())
}

/// Opens a file and reads what is in it, by one call.
fn read(ledger: &mut Ledger, path: &Path) -> Result<()> {
    let file = super::blocks::open(ledger, path, false)?;
    let moved = sys::read(&file, &mut vec![0; 1 << 16])?;
    ledger.read(&path.to_string_lossy(), moved);
    Ok(())
}

/// Repetitions of [`rename`].
const ROUNDS: usize = 20;

/// Renames files and folders, and uses each name in turn.
pub(crate) fn rename(directory: &Path) -> Result<Truth> {
    let mut ledger = Ledger::new("renamed");
    for round in 0..ROUNDS {
        rename_files(&mut ledger, directory, round)?;
        rename_folders(&mut ledger, directory, round)?;
        use_nameless_files(&mut ledger, directory, round)?;
    }
    Ok(ledger.close())
}

/// Renames a file, also over another one, links it, and makes it anew.
fn rename_files(ledger: &mut Ledger, directory: &Path, round: usize) -> Result<()> {
    let [one, other] = ["one", "other"].map(|name| directory.join(name));
    write(ledger, &one, 100 + round)?;
    fs::rename(&one, &other)?;
    read(ledger, &other)?;
    write(ledger, &one, 300 + round)?;
    fs::rename(&one, &other)?;
    read(ledger, &other)?;
    fs::hard_link(&other, &one)?;
    read(ledger, &one)?;
    read(ledger, &other)?;
    fs::remove_file(&one)?;
    write(ledger, &one, 500 + round)?;
    fs::remove_file(&one)?;
    fs::remove_file(&other)?;
    Ok(())
}

/// Renames the folder of a file, and the folder of that, and swaps two folders with the same names below.
fn rename_folders(ledger: &mut Ledger, directory: &Path, round: usize) -> Result<()> {
    let [a, b, c] = ["a", "b", "c"].map(|name| directory.join(name));
    let file = Path::new("in/out/file");
    for folder in [&a, &b] {
        fs::create_dir_all(folder.join("in/out"))?;
        write(ledger, &folder.join(file), 700 + round)?;
    }
    fs::rename(&a, &c)?;
    fs::rename(&b, &a)?;
    fs::rename(&c, &b)?;
    for folder in [&a, &b] {
        read(ledger, &folder.join(file))?;
    }
    fs::rename(a.join("in"), a.join("within"))?;
    let path = a.join("within/out/file");
    read(ledger, &path)?;
    // A path through a folder that was opened before it got its name.
    let folder = File::open(&a)?;
    ledger.opened(&a);
    fs::rename(&a, &c)?;
    let through = format!("/proc/self/fd/{}/within/out/file", folder.as_raw_fd());
    let opened = File::open(through)?;
    let path = c.join("within/out/file");
    ledger.opened(&path);
    let moved = sys::read(&opened, &mut vec![0; 1 << 16])?;
    ledger.read(&path.to_string_lossy(), moved);
    // Not `remove_dir_all`, which opens the folders.
    for (folder, inner) in [(&b, "in"), (&c, "within")] {
        let inner = folder.join(inner);
        fs::remove_file(inner.join("out/file"))?;
        fs::remove_dir(inner.join("out"))?;
        fs::remove_dir(inner)?;
        fs::remove_dir(folder)?;
    }
    Ok(())
}

/// Uses files without a name of their own: two in memory one after the other, and one that gets its name
/// later.
fn use_nameless_files(ledger: &mut Ledger, directory: &Path, round: usize) -> Result<()> {
    for name in [c"first", c"other"] {
        let file = sys::memfd(name)?;
        let path = format!("/memfd:{}", name.to_string_lossy());
        write_to(ledger, &file, Path::new(&path), 900 + round)?;
    }
    let path = directory.join("linked");
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(directory)?;
    let nameless = directory.join(format!("#{}", sys::inode(&file)?));
    ledger.opened(&nameless);
    write_to(ledger, &file, &nameless, 50)?;
    sys::link(&file, &path)?;
    read(ledger, &path)?;
    fs::remove_file(&path)?;
    Ok(())
}
