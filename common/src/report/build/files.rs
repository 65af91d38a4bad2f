//! Files of a report, by file and by directory.

use std::collections::BTreeMap;

use super::super::form::{FileGroup, FileList, FileRow, Files, ReportFileSums};
use super::super::tally::{Activity as _, Container};
use crate::segment::cell::{Row, Value as _};
use crate::segment::file::{File, FileIo, FileKind};
use crate::segment::total::Metric;
use crate::segment::wait::UNIT;

/// The sums of `io`.
pub(super) fn file_sums(io: FileIo) -> ReportFileSums {
    ReportFileSums {
        read_bytes: io.bytes_in,
        written_bytes: io.bytes_out,
        reads: io.ops_in,
        writes: io.ops_out,
        opens: io.opens,
        mapped_pages: io.mapped_pages,
        waited_ns: io.waited.saturating_mul(UNIT),
    }
}

impl ReportFileSums {
    /// These sums and those of `other`.
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What is left of these sums without `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn with(&self, other: &Self, both: fn(u64, u64) -> u64) -> Self {
        Self {
            read_bytes: both(self.read_bytes, other.read_bytes),
            written_bytes: both(self.written_bytes, other.written_bytes),
            reads: both(self.reads, other.reads),
            writes: both(self.writes, other.writes),
            opens: both(self.opens, other.opens),
            mapped_pages: both(self.mapped_pages, other.mapped_pages),
            waited_ns: both(self.waited_ns, other.waited_ns),
        }
    }
}

/// Files and pipes.
pub(super) fn files(sums: &Container) -> Files {
    let sorted = sums.files.sorted();
    let mut groups = [(); 3].map(|()| FileGroup::default());
    for (file, io) in &sorted {
        let group = match (io.bytes_in > 0, io.bytes_out > 0) {
            (true, false) => &mut groups[0],
            (false, true) => &mut groups[1],
            (true, true) => &mut groups[2],
            (false, false) => continue,
        };
        if file.kind == FileKind::Regular {
            group.files += 1;
            let bytes = io.bytes_in.saturating_add(io.bytes_out);
            group.bytes = group.bytes.saturating_add(bytes);
        }
    }
    let [only_read, only_written, read_and_written] = groups;
    let total = file_sums(sums.file_io);
    let by_directory = directories(&sorted);
    let row = |path: &str, kind: FileKind, io: FileIo| FileRow {
        path: path.to_owned(),
        kind: kind.name().to_owned(),
        sums: file_sums(io),
    };
    // The rows that stand for many, or for files without a path, have no name to tell.
    let named = sorted.iter().filter(|(file, io)| {
        let is_named = !matches!(file.kind, FileKind::Other | FileKind::Unknown);
        is_named && io.waited > 0
    });
    let longest_wait = named.max_by_key(|(_, io)| io.waited);
    let longest_wait = longest_wait.map(|(file, io)| row(&file.path, file.kind, **io));
    let by_file = sorted.iter();
    let by_file = by_file.map(|(file, io)| row(&file.path, file.kind, **io));
    let directories_count = by_directory.len() as u64;
    let directories = by_directory.into_iter();
    let directories = directories.map(|(path, io)| row(&path, FileKind::Directory, io));
    Files {
        only_read,
        only_written,
        read_and_written,
        longest_wait,
        by_file: list(by_file.collect(), sums.files.count(), &total),
        by_directory: list(directories.collect(), directories_count, &total),
        total,
        block_read_bytes: sums.total(Metric::BLOCK_IN),
        block_written_bytes: sums.total(Metric::BLOCK_OUT),
    }
}

fn list(rows: Vec<FileRow>, count: u64, total: &ReportFileSums) -> FileList {
    let rest = rows
        .iter()
        .fold(total.clone(), |rest, row| rest.without(&row.sums));
    FileList { count, rows, rest }
}

/// Sums by directory, the busiest first. Pipes, terminals and the like are in none.
fn directories(files: &[(&File, &FileIo)]) -> Vec<(String, FileIo)> {
    let mut sums: BTreeMap<&str, FileIo> = BTreeMap::new();
    for (file, io) in files {
        let is_there = matches!(file.kind, FileKind::Regular | FileKind::Directory);
        let directory = match file.path.rsplit_once('/') {
            Some(("", _)) if is_there => "/",
            Some((above, _)) if is_there => above,
            _ => continue,
        };
        sums.entry(directory).or_default().absorb(Row(0, 0), io);
    }
    let mut sums: Vec<(String, FileIo)> = sums
        .into_iter()
        .map(|(path, io)| (path.to_owned(), io))
        .collect();
    sums.sort_by(|a, b| (b.1.activity(), &a.0).cmp(&(a.1.activity(), &b.0)));
    sums
}
