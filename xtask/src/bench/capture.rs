//! Events of captures read per second, by the agent and by sysdig. Installs sysdig.

use anyhow::Result;

use super::example::{Example, NoFlags, Report};
use crate::install;

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let NoFlags {} = super::example::flags("capture", arguments);
    install::sysdig()?;
    let example = Example {
        package: "bubble-agent",
        example: "bench_capture",
    };
    example.run(&[], &[], report)
}
