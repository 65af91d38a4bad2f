//! The columns of lanes and cells.

use bubble_common::segment::process::Exit;
use serde::Serialize;

use super::lives::Life;
use crate::query::ledger::ProcessRow;
use crate::query::process::{command_of, key_of};

/// Characters of a command line at most.
const MAX_COMMAND: usize = 120;

/// Columns of lanes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LaneColumns {
    /// `PID-START_NS-EXEC` of its last program in the range. Of a lane that the answer folded
    /// `0-0-0/PARENT/NAME` with the key of its parent; of one that was folded before `0-0-0-NAME`.
    pub key: Vec<String>,
    /// Names of the programs that it ran, as indices into `names`.
    pub names: Vec<Vec<u32>>,
    /// The beginning of its last command line, at most 120 characters.
    pub command: Vec<String>,
    /// Process id inside the container; on the host if that is unknown.
    pub pid: Vec<u32>,
    /// Index of the lane of its parent; of the nearest ancestor that has a lane.
    pub parent: Vec<Option<u32>>,
    /// Time of its fork, seconds since the Unix epoch; null if unknown.
    pub start: Vec<Option<f64>>,
    /// When it ended; null while it runs, or if unknown.
    pub end: Vec<Option<f64>>,
    /// How it ended: its exit code, or the signal that killed it as a negative number; null if unknown.
    pub exit: Vec<Option<i32>>,
    /// How many processes it stands for.
    pub count: Vec<u64>,
    /// How many of them failed: a code other than 0, or a signal.
    pub failed: Vec<u64>,
    /// How many of them the kernel killed because memory ran out.
    pub oom_killed: Vec<u64>,
    /// CPU time, ns.
    pub cpu_ns: Vec<u64>,
    /// Highest resident set, bytes; null if it was never measured. Of a folded lane: the highest of one.
    pub rss_max: Vec<Option<u64>>,
    /// Number of its cells.
    pub cells: Vec<u32>,
}

/// Columns of cells: those of the first lane, then those of the second, …, each in the order of
/// slots and cores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CellColumns {
    /// Index of the slot.
    pub slot: Vec<u32>,
    /// Number of the core.
    pub core: Vec<u32>,
    /// CPU time in µs; less than 1 counts as 1.
    pub cpu_us: Vec<u64>,
}

fn seconds(ns: u64) -> Option<f64> {
    (ns > 0).then(|| ns as f64 / 1e9)
}

impl LaneColumns {
    pub(super) fn push_one(&mut self, life: &Life<'_>) {
        let process = &life.last.process;
        self.key.push(key_of(process));
        self.command.push(command_of(process, MAX_COMMAND));
        self.pid.push(match process.container_pid {
            0 => process.id.pid,
            pid => pid,
        });
        self.start.push(seconds(life.start()));
        self.end.push(seconds(life.end()));
        self.exit.push(life.exit.map(|exit| match exit {
            Exit::Code(code) => i32::from(code),
            Exit::Signal(signal) => -i32::from(signal),
        }));
        self.count.push(1);
        self.failed.push(u64::from(life.is_failed()));
        self.oom_killed.push(u64::from(life.is_oom_killed));
        self.cpu_ns.push(life.cpu_ns);
        self.rss_max.push(Some(life.rss_max).filter(|rss| *rss > 0));
    }

    pub(super) fn push_several(&mut self, name: &str, members: &[&Life<'_>]) {
        let count = |is: fn(&Life<'_>) -> bool| members.iter().filter(|life| is(life)).count();
        let starts = members.iter().map(|life| life.start());
        let ends = members.iter().map(|life| life.end());
        let is_running = members.iter().any(|life| life.end() == 0);
        let rss = members.iter().map(|life| life.rss_max).max();
        // Two parents may have folded lanes of one name.
        let parent = self.parent.get(self.key.len()).copied().flatten();
        let parent = parent.map_or("", |parent| &self.key[parent as usize]);
        self.key.push(format!("0-0-0/{parent}/{name}"));
        self.command.push(String::new());
        self.pid.push(0);
        self.start.push(starts.min().and_then(seconds));
        self.end
            .push(ends.max().filter(|_| !is_running).and_then(seconds));
        self.exit.push(None);
        self.count.push(members.len() as u64);
        self.failed.push(count(|life| life.is_failed()) as u64);
        self.oom_killed
            .push(count(|life| life.is_oom_killed) as u64);
        self.cpu_ns.push(
            members
                .iter()
                .fold(0, |sum, life| sum.saturating_add(life.cpu_ns)),
        );
        self.rss_max.push(rss.filter(|rss| *rss > 0));
    }

    pub(super) fn push_before(&mut self, row: &ProcessRow) {
        self.key.push(key_of(&row.process));
        self.command.push(String::new());
        self.pid.push(0);
        self.start.push(None);
        self.end.push(None);
        self.exit.push(None);
        self.count.push(row.process.count.into());
        self.failed.push(0);
        self.oom_killed.push(0);
        self.cpu_ns.push(row.cpu_ns);
        self.rss_max
            .push(Some(row.memory.rss).filter(|rss| *rss > 0));
    }
}
