//! What identifies something is used again for something else.

use serde_json::Value;

use crate::run::{Folder, assert_nothing_lost, text};

const SCRIPT: &str = include_str!("reuse.py");

/// The rows of the processes with this name.
fn rows<'a>(report: &'a Value, name: &str) -> Vec<&'a Value> {
    let rows = report["processes"]["commands"].as_array().expect("rows");
    rows.iter().filter(|row| row["name"] == name).collect()
}

#[test]
fn a_process_id_within_milliseconds() {
    let folder = Folder::new();
    let flags = ["--json", "--output", "report.json", "--top", "1000"];
    let output = folder
        .command(&flags, &["python3", "-c", SCRIPT])
        .output()
        .expect("an executable agent");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report = folder.report();
    for (name, bytes) in [("first", 1_000), ("second", 2_000)] {
        let found = rows(&report, name);
        let [row] = found[..] else {
            panic!("{name}: {found:#?}");
        };
        assert_eq!(row["processes"], 1, "{name}");
        assert_eq!(row["own"]["files"]["written_bytes"], bytes, "{name}");
    }
    assert_nothing_lost(&report);
}
