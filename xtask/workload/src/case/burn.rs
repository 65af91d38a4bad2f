//! CPU: a child that never yields, so that its whole life is known to its parent.

use anyhow::Result;
use bubble_workload::truth::Truth;

use super::process::{Program, hidden};
use crate::ledger::Ledger;

/// Burns `ns` of CPU in a child of its own. The process a container begins with has a past (the
/// runtime that made it) which is in its own count; a child has none.
pub(crate) fn run(ns: u64) -> Result<Truth> {
    let mut ledger = Ledger::new("burn");
    Program::this()?.run(&mut ledger, hidden(&["burn-here", "--ns", &ns.to_string()]))?;
    Ok(ledger.close())
}
