//! A capture that `sysdig -r CAPTURE -w FILE FILTER` has written: it dates the events of containers by the
//! day on which it runs, and its list of interfaces says a wrong length.

use std::path::Path;
use std::process::Command;

use bubble_suite::settings;
use bubble_testing::captures;
use serde_json::Value;
use tempfile::TempDir;

/// The report of the agent about a capture.
fn report(capture: &Path) -> Value {
    let agent = settings::program("bubble-agent").expect("the agent");
    let output = Command::new(agent)
        .args(["analyse", "--dry-run", "--json"])
        .arg(capture)
        .output()
        .expect("an executable agent");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", capture.display());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn it_has_the_times_and_sums_of_the_original() {
    let original = captures::folder().join("captures/502error.scap");
    let folder = TempDir::new().expect("a folder");
    let rewritten = folder.path().join("rewritten.scap");
    let status = Command::new("sysdig")
        .arg("-r")
        .arg(&original)
        .arg("-w")
        .arg(&rewritten)
        .arg("container.id!=host")
        .output()
        .expect("sysdig must be installed");
    assert!(status.status.success());
    let (original, rewritten) = (report(&original), report(&rewritten));
    let containers = |report: &Value| -> Vec<Value> {
        let containers = report["containers"].as_array().expect("containers");
        let about = |container: &Value| {
            let fields = ["name", "first", "last", "files_total", "network_total"];
            let fields = fields.map(|name| container[name].clone());
            assert!(fields.iter().all(|field| !field.is_null()), "{container}");
            Value::Array(fields.to_vec())
        };
        containers.iter().map(about).collect()
    };
    assert_eq!(containers(&rewritten), containers(&original));
    for container in rewritten["containers"].as_array().expect("containers") {
        assert_eq!(container["losses"], Value::Array(Vec::new()));
    }
}
