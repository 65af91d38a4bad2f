//! `bubble-agent doctor` on this kernel. The other tests expect exact numbers, so it must report
//! nothing as missing.

use bubble_suite::{agent, settings};

#[test]
fn nothing_is_missing_here() {
    let report = agent::doctor().expect("JSON of doctor");
    let requested = settings::hooks();
    if requested != "auto" {
        assert_eq!(
            report["family"],
            requested.as_str(),
            "{}",
            report["refused"]
        );
    }
    assert_eq!(report["missing"], serde_json::json!([]));
}
