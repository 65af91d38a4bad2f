//! What the agent says of this kernel. The other tests expect every number to be exact, so nothing
//! may be missing by the agent's own table of hooks either.

use bubble_suite::{agent, settings};

#[test]
fn nothing_is_missing_here() {
    let said = agent::doctor().expect("doctor prints JSON");
    let asked = settings::hooks();
    if asked != "auto" {
        assert_eq!(said["family"], asked.as_str(), "{}", said["refused"]);
    }
    assert_eq!(said["missing"], serde_json::json!([]));
}
