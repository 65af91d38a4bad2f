//! CPU time of a task that never yields.

use crate::common::exact;

#[test]
fn burn() {
    exact(&["burn", "--seconds", "2"]);
}
