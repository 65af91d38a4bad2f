//! CPU: of a task that never yields, and of many that hardly live.

use crate::common::exact;

#[test]
fn burn() {
    exact(&["burn", "--seconds", "2"]);
}
