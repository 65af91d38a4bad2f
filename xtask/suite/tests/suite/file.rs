//! Bytes, operations and opens of files, by each kind of call.

use bubble_suite::bench::{Bench, check, ledger, run};
use bubble_suite::container::Spec;

use crate::common::exact;

#[test]
fn read_write() {
    exact(&["file", "--by", "read-write"]);
}

#[test]
fn pread_pwrite() {
    exact(&["file", "--by", "pread-pwrite"]);
}

#[test]
fn readv_writev() {
    exact(&["file", "--by", "readv-writev"]);
}

#[test]
fn sendfile() {
    exact(&["file", "--by", "sendfile"]);
}

#[test]
fn sendfile_large() {
    exact(&["file", "--by", "sendfile", "--block", "10240000"]);
}

#[test]
fn splice() {
    exact(&["file", "--by", "splice"]);
}

#[test]
fn splice_large() {
    exact(&["file", "--by", "splice", "--block", "65536"]);
}

#[test]
fn copy_file_range() {
    exact(&["file", "--by", "copy-file-range"]);
}

#[test]
fn copy_file_range_large() {
    exact(&["file", "--by", "copy-file-range", "--block", "10240000"]);
}

#[test]
fn io_uring() {
    exact(&["file", "--by", "io-uring"]);
}

#[test]
fn io_uring_overflow() {
    exact_or_lost("io-uring-overflow", "io_uring");
}

/// No hook sees the results of these requests: they are a loss.
#[test]
fn io_uring_skip() {
    exact(&["file", "--by", "io-uring-skip"]);
}

#[test]
fn io_submit() {
    exact_or_lost("aio", "aio");
}

/// What moves through the mapping is a loss.
#[test]
fn mapped() {
    exact(&["file", "--by", "mapped"]);
}

#[test]
fn narrow_sendfile() {
    exact(&["file", "--by", "narrow"]);
}

/// More files than a table has rows: the rest is folded, and the total stays exact.
#[test]
fn opens() {
    exact(&["opens"]);
}

/// Kernel objects are used again for the same names in other folders.
#[test]
fn folders_made_and_removed() {
    exact(&["folders"]);
}

/// A file that is opened has the path of that moment.
#[test]
fn renamed_folders() {
    exact(&["renamed"]);
}

/// The bytes belong to the file that the call used, and not to the one behind its descriptor at the end.
#[test]
fn replaced_descriptors() {
    exact(&["replaced"]);
}

/// The bytes belong to the file that the descriptor has when it is used: after `dup3`, `close_range`, and
/// through a socket. The path of a file below another root is the one that the process sees.
#[test]
fn passed_descriptors_and_other_roots() {
    exact(&["passed"]);
}

/// The figures are exact. Linux 6.1 and 6.12 report only a part of these operations: there they may
/// be too small, with a loss of this reason.
fn exact_or_lost(by: &str, reason: &str) {
    let _ = Bench::shared();
    let spec = Spec::new(&["file", "--by", by, "--bytes", "1024000"]);
    let finished = run(&spec).expect("a successful workload");
    let ledger = ledger(&finished).expect("stored data");
    let losses = ledger.summary.losses.iter();
    let is_told = losses.clone().any(|loss| loss.reason == reason);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let is_older = ["6.1.", "6.12."].iter().any(|of| release.starts_with(of));
    if !is_told || !is_older {
        check(&[finished]).expect("exact figures, as this kernel reports all");
        return;
    }
    for truth in &finished.truth.files {
        let rows = ledger.files.iter().filter(|row| row.path == truth.path);
        let stored = rows.fold([0; 4], |sum, row| {
            [
                sum[0] + row.bytes_in,
                sum[1] + row.ops_in,
                sum[2] + row.bytes_out,
                sum[3] + row.ops_out,
            ]
        });
        let most = [
            truth.read.bytes,
            truth.read.operations,
            truth.written.bytes,
            truth.written.operations,
        ];
        let is_at_most = stored
            .iter()
            .zip(most)
            .all(|(stored, most)| *stored <= most);
        assert!(is_at_most, "{}: {stored:?} of {most:?}", truth.path);
    }
}
