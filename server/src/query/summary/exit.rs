//! Processes that failed, by command and exit.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::query::ledger::Ledger;
use crate::query::process::ExitInfo;

/// Processes of one name that failed in the same way.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FailedProcesses {
    /// Their name.
    pub name: String,
    /// How they ended: a code other than 0, or a signal.
    pub exit: ExitInfo,
    /// How many.
    pub count: u64,
}

/// The `top` largest groups of processes that failed, and the number of all that failed.
pub(super) fn failed(ledger: &Ledger<'_>, top: usize) -> (Vec<FailedProcesses>, u64) {
    let mut groups: BTreeMap<(&str, ExitInfo), u64> = BTreeMap::new();
    for row in ledger.processes.iter().filter(|row| row.present) {
        let exit = row.process.exit.map(ExitInfo::from);
        if let Some(exit) = exit.filter(|exit| exit.is_failure()) {
            *groups.entry((&row.process.name, exit)).or_default() += 1;
        }
    }
    let all = groups.values().sum();
    let mut groups: Vec<FailedProcesses> = groups
        .into_iter()
        .map(|((name, exit), count)| FailedProcesses {
            name: name.to_owned(),
            exit,
            count,
        })
        .collect();
    groups.sort_by_key(|group| Reverse(group.count));
    groups.truncate(top);
    (groups, all)
}

/// Number of processes in folded rows. A fold keeps no exits.
pub(super) fn unknown(ledger: &Ledger<'_>) -> u64 {
    let rows = ledger.processes.iter().filter(|row| row.present);
    let folded = rows.filter(|row| row.process.is_folded());
    folded.map(|row| u64::from(row.process.count)).sum()
}
