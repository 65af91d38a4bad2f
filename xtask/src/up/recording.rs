//! The recording that is shown where nothing can be counted live.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{run, say};
use crate::project;

/// Five containers of some seconds each, recorded by sysdig.
const RECORDING: &str = "agent/tests/captures/containers.scap";

pub(super) fn post(agent: &Path, url: &str, key: &str) -> Result<()> {
    say("posting a recording instead, so that there is something to look at");
    run(Command::new(agent)
        .args(["analyse", "--server", url])
        .arg(project::root().join(RECORDING))
        .env("BUBBLE_API", key))
}
