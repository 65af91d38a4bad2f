//! Processes: every one, with its arguments, its CPU and its end.

use crate::common::exact;

#[test]
fn five_hundred_of_a_millisecond() {
    let finished = exact(&["processes", "--count", "500"]);
    assert_eq!(finished.truth.processes.len(), 501);
}

#[test]
fn one_that_gives_itself_another_name() {
    let finished = exact(&["renames"]);
    assert_eq!(finished.truth.processes.len(), 2);
}

#[test]
fn a_container_of_300_ms_that_ends_with_3() {
    let finished = exact(&["exit", "--after-ms", "300", "--code", "3"]);
    assert_eq!(finished.exit_code, 3);
}
