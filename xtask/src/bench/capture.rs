//! How fast captures are read, beside sysdig, which is installed for it.

use anyhow::Result;

use super::{Example, NoFlags, Report};
use crate::install;

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let NoFlags {} = super::flags("capture", arguments);
    install::sysdig()?;
    let example = Example {
        package: "bubble-agent",
        example: "bench_capture",
        features: "",
    };
    example.run(&[], &[], report)
}
