//! The processes of a range: the programs that one process ran are one life.

use std::collections::{BTreeMap, HashMap, HashSet};

use bubble_common::segment::event::EventKind;
use bubble_common::segment::process::Exit;

use crate::query::ledger::{Ledger, ProcessRow};

/// A process, with all programs that it ran.
pub(super) struct Life<'l> {
    /// Indices of its rows in the ledger, in order.
    pub(super) rows: Vec<u32>,
    /// The row of its last program.
    pub(super) last: &'l ProcessRow,
    /// Names of its programs, without repetitions in a row.
    pub(super) names: Vec<&'l str>,
    /// Index of its parent, which comes before.
    pub(super) parent: Option<u32>,
    /// Whether it is the parent of another one.
    pub(super) is_parent: bool,
    pub(super) exit: Option<Exit>,
    pub(super) is_oom_killed: bool,
    pub(super) cpu_ns: u64,
    pub(super) rss_max: u64,
}

impl Life<'_> {
    /// Fork, ns since the Unix epoch.
    pub(super) fn start(&self) -> u64 {
        self.last.process.id.start
    }

    /// End, ns since the Unix epoch; 0 while it runs.
    pub(super) fn end(&self) -> u64 {
        self.last.process.end
    }

    pub(super) fn is_failed(&self) -> bool {
        self.exit.is_some_and(|exit| exit != Exit::Code(0))
    }
}

/// All processes of a range.
pub(super) struct Lives<'l> {
    /// Those with an identity, in the order of their starts.
    pub(super) all: Vec<Life<'l>>,
    /// Rows that stand for several processes of a name, from before this answer.
    pub(super) before: Vec<(u32, &'l ProcessRow)>,
    /// How many processes `before` stands for, at least.
    pub(super) folded_before: u64,
}

impl<'l> Lives<'l> {
    pub(super) fn new(ledger: &'l Ledger<'_>) -> Self {
        let present = (0..)
            .zip(&ledger.processes)
            .filter(|(_, row)| row.present)
            .collect::<Vec<(u32, &ProcessRow)>>();
        let mut grouped: BTreeMap<(u64, u32), Vec<(u32, &ProcessRow)>> = BTreeMap::new();
        let mut before = Vec::new();
        for (index, row) in present {
            match row.process.is_folded() {
                true => before.push((index, row)),
                false => {
                    let id = row.process.id;
                    let life = grouped.entry((id.start, id.pid)).or_default();
                    life.push((index, row));
                }
            }
        }
        let events = ledger.events.iter();
        let killed: HashSet<(u64, u32)> = events
            .filter(|(event, _)| event.kind == EventKind::OOM_KILL)
            .filter_map(|(_, process)| *process)
            .map(|index| ledger.processes[index as usize].process.id)
            .map(|id| (id.start, id.pid))
            .collect();
        let mut all: Vec<Life<'l>> = Vec::with_capacity(grouped.len());
        // By host pid, the lives that had it, in order.
        let mut by_pid: HashMap<u32, Vec<u32>> = HashMap::new();
        for (id, mut rows) in grouped {
            rows.sort_by_key(|(_, row)| row.process.id.exec);
            let parent = rows
                .iter()
                .map(|(_, row)| row.process.parent)
                .find(|pid| *pid > 0);
            // A parent starts before its child, so the latest one with that pid ran then.
            let parent = parent.and_then(|pid| by_pid.get(&pid)?.last().copied());
            if let Some(parent) = parent {
                all[parent as usize].is_parent = true;
            }
            by_pid.entry(id.1).or_default().push(all.len() as u32);
            all.extend(life(&rows, parent, killed.contains(&id)));
        }
        before.sort_by(|(_, a), (_, b)| a.process.name.cmp(&b.process.name));
        let counts = before.iter().map(|(_, row)| u64::from(row.process.count));
        Self {
            folded_before: counts.fold(0, u64::saturating_add),
            all,
            before,
        }
    }
}

/// One process of its rows, which are in order. `None` if there are none.
fn life<'l>(
    rows: &[(u32, &'l ProcessRow)],
    parent: Option<u32>,
    is_oom_killed: bool,
) -> Option<Life<'l>> {
    let (_, last) = *rows.last()?;
    let mut names: Vec<&str> = rows
        .iter()
        .map(|(_, row)| row.process.name.as_str())
        .collect();
    names.dedup();
    let sum = |sum: u64, (_, row): &(u32, &ProcessRow)| sum.saturating_add(row.cpu_ns);
    Some(Life {
        rows: rows.iter().map(|(index, _)| *index).collect(),
        last,
        names,
        parent,
        is_parent: false,
        exit: last.process.exit,
        is_oom_killed,
        cpu_ns: rows.iter().fold(0, sum),
        rss_max: rows
            .iter()
            .map(|(_, row)| row.memory.rss)
            .max()
            .unwrap_or(0),
    })
}
