//! Bytes, operations and opens of files, by every kind of call.

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

/// More files than any table has rows: what is beyond is folded, and the total stays exact.
#[test]
fn opens() {
    exact(&["opens"]);
}
