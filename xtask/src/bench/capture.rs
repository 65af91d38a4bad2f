//! How fast captures are read, beside sysdig, which is installed for it.

use anyhow::Result;

use super::{Example, Report};
use crate::install;

pub(super) fn run(report: &mut Report<'_>, _: &[String]) -> Result<()> {
    install::sysdig()?;
    let example = Example {
        package: "bubble-agent",
        example: "bench_capture",
        features: "",
    };
    example.run(&[], &[], report)
}
