//! How fast captures are read, beside sysdig, which is installed for it.

use anyhow::Result;

use super::{Report, run_example};
use crate::install;

pub(super) fn run(report: &mut Report<'_>) -> Result<()> {
    install::sysdig()?;
    run_example("bubble-agent", "bench_capture", "", report)
}
