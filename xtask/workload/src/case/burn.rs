//! CPU: a child that never yields. Its parent knows the CPU time of its whole life.

use anyhow::Result;
use bubble_workload::truth::Truth;

use super::process::{Program, hidden};
use crate::ledger::Ledger;

/// Burns `ns` of CPU time in a child. The first process of a container cannot do it: its count
/// includes the work of the runtime before its `exec`.
pub(crate) fn run(ns: u64) -> Result<Truth> {
    let mut ledger = Ledger::new("burn");
    Program::this()?.run(&mut ledger, hidden(&["burn-here", "--ns", &ns.to_string()]))?;
    Ok(ledger.close())
}
