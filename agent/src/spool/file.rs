//! One file of the spool: its name, its records, and the batches in it that still wait.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::batch_id::BatchId;
use super::disk::{Disk, DiskFile, Opening};
use super::record::{self, Damage, HEADER, MAGIC, Record};

/// A file that reaches either bound is full: the next batch begins a new file.
const MAX_BYTES: u64 = 1 << 20;
const MAX_RECORDS: usize = 60;

/// How coarse the segments of a file are: the extension of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Second,
    Minute,
}

impl Level {
    /// All levels, in the order in which they are given up when the spool is full.
    pub(super) const ALL: [Self; 2] = [Self::Second, Self::Minute];

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
        }
    }

    pub(super) const fn coarser(self) -> Option<Self> {
        match self {
            Self::Second => Some(Self::Minute),
            Self::Minute => None,
        }
    }
}

/// Identifies a file; ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileKey {
    pub(super) number: u64,
    pub(super) level: Level,
}

impl FileKey {
    /// The key of the file at `path`. `None` if the name is not one of the spool's.
    pub(super) fn from_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        let level = Level::ALL
            .into_iter()
            .find(|level| level.name() == extension)?;
        let number = u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok()?;
        // Numbers begin at 1, so a foreign file has the large ones. They would overflow.
        (number < u64::MAX / 2).then_some(Self { number, level })
    }

    pub(super) fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{:016x}.{}", self.number, self.level.name()))
    }
}

/// An open file of the spool.
#[derive(Debug)]
pub(super) struct SpoolFile {
    file: Box<dyn DiskFile>,
    size: u64,
    records: usize,
    /// A failed write could not be taken back.
    broken: bool,
    /// Batches in it that wait, in the order in which they were written.
    pub(super) pending: VecDeque<BatchId>,
}

impl SpoolFile {
    /// Creates a file without records, and removes it again if it cannot be written.
    pub(super) fn create(disk: &dyn Disk, path: &Path, folder: &Path) -> io::Result<Self> {
        let file = disk.open(path, Opening::New)?;
        let written = write_synced(&*file, 0, MAGIC).and_then(|()| disk.sync_folder(folder));
        if let Err(error) = written {
            // If this fails too, the next run removes the file, as it holds no record.
            let _ = disk.remove(path);
            return Err(error);
        }
        Ok(Self::new(file, MAGIC.len() as u64, 0))
    }

    /// Opens a file of an earlier run. Returns its valid records, and what is wrong with it.
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> io::Result<(Self, Vec<Record>, Damage)> {
        let file = disk.open(path, Opening::Existing)?;
        let bytes = file.read_all()?;
        let (records, damage) = record::scan(&bytes);
        let size = bytes.len() as u64;
        Ok((Self::new(file, size, records.len()), records, damage))
    }

    fn new(file: Box<dyn DiskFile>, size: u64, records: usize) -> Self {
        Self {
            file,
            size,
            records,
            broken: false,
            pending: VecDeque::new(),
        }
    }

    /// Appends a record and syncs it.
    pub(super) fn append(&mut self, payload: &[u8], segments: u32) -> io::Result<Record> {
        let bytes = record::encode(payload, segments)?;
        if let Err(error) = write_synced(&*self.file, self.size, &bytes) {
            // A partial record must not stand before the next one.
            self.broken = self.file.set_len(self.size).is_err();
            return Err(error);
        }
        let record = Record {
            offset: self.size + HEADER,
            length: payload.len() as u32,
            segments,
        };
        self.size += bytes.len() as u64;
        self.records += 1;
        Ok(record)
    }

    pub(super) fn read(&self, record: Record) -> io::Result<Vec<u8>> {
        record::read(&*self.file, record)
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether nothing more is appended to it.
    pub(super) fn is_full(&self) -> bool {
        self.broken || self.records >= MAX_RECORDS || self.size >= MAX_BYTES
    }
}

/// A file that is written and synced, and has another name until it is complete. If the agent is killed
/// before, the next run removes it.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    file: SpoolFile,
    batches: Vec<Record>,
}

impl Part {
    /// Writes the part of the file at `path`, with `batches`. Removes it again if that fails.
    pub(super) fn write(
        disk: &dyn Disk,
        path: &Path,
        batches: &[(Vec<u8>, u32)],
    ) -> io::Result<Self> {
        let mut bytes = MAGIC.to_vec();
        let mut records = Vec::new();
        for (payload, segments) in batches {
            records.push(Record {
                offset: bytes.len() as u64 + HEADER,
                length: payload.len() as u32,
                segments: *segments,
            });
            bytes.extend(record::encode(payload, *segments)?);
        }
        let part = path.with_extension(PART);
        let write = || {
            let file = disk.open(&part, Opening::Empty)?;
            write_synced(&*file, 0, &bytes)?;
            Ok(file)
        };
        match write() {
            Ok(file) => Ok(Self {
                path: part,
                file: SpoolFile::new(file, bytes.len() as u64, records.len()),
                batches: records,
            }),
            Err(error) => {
                let _ = disk.remove(&part);
                Err(error)
            }
        }
    }

    /// Gives it the name `path`. Removes it if that fails.
    pub(super) fn rename(
        self,
        disk: &dyn Disk,
        path: &Path,
    ) -> io::Result<(SpoolFile, Vec<Record>)> {
        if let Err(error) = disk.rename(&self.path, path) {
            let _ = disk.remove(&self.path);
            return Err(error);
        }
        Ok((self.file, self.batches))
    }
}

/// Extension of a file that is being written.
pub(super) const PART: &str = "part";

/// Writes `bytes` at `offset` and waits until they are on the disk.
fn write_synced(file: &dyn DiskFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_at(bytes, offset)?;
    file.sync()
}
