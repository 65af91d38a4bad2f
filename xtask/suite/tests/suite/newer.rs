//! What only newer kernels can do or show: not run on 6.1.

use crate::common::exact;

/// The calls fail after they have received: the bytes count all the same.
#[test]
fn failed_calls() {
    exact(&["fault"]);
}

/// The kernel thread that submits is not the process; deferred work has existed since Linux 6.1.
#[test]
fn io_uring_forms() {
    exact(&["file", "--by", "io-uring-forms"]);
}

/// Since Linux 6.7.
#[test]
fn io_uring_multishot() {
    exact(&["file", "--by", "io-uring-multishot"]);
}
