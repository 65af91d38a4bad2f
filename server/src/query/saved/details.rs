//! What the side panel of a saved file shows: the answers about single processes, files and peers.
//!
//! Each answer costs a pass over the range, so a file has those of the most important ones, and
//! says how many it leaves out.

use std::cmp::Reverse;
use std::sync::Arc;

use bubble_common::segment::Segment;
use serde::Serialize;
use serde_json::Value;

use super::base::{Base, VALUE_PER_BYTE, difference, length};
use crate::memory::MemoryError;
use crate::query::bound::Bound;
use crate::query::error::QueryError;
use crate::query::ledger::{Ledger, Scope};
use crate::query::process::{ExitInfo, ProcessInfo};
use crate::query::range::Plan;
use crate::query::summary::Summary;
use crate::query::table::{Arrangement, SeriesKind, Table, TableKind, TableSeries};

/// Processes, files and peers with an answer of their own, at most.
const MAX_PROCESSES: usize = 100;
const MAX_FILES: usize = 60;
const MAX_PEERS: usize = 60;
/// Rows that are made to answer about files, and about peers, at most: each answer makes all of them.
const MAX_READ: usize = 2_000_000;
/// Rows of files and of peers of one process: as many as the page asks for.
const MAX_ROWS: usize = 50;
/// Processes that used one file or peer: as many as the page asks for.
const MAX_USERS: usize = 30;
/// Bytes of all of these answers, at most.
const MAX_BYTES: usize = 4 << 20;

/// The answers about single processes, files and peers, the most important ones first.
#[derive(Debug, Default, Serialize)]
pub(super) struct Details {
    processes: Vec<OneProcess>,
    files: Vec<OneFile>,
    peers: Vec<OnePeer>,
    left_out: LeftOut,
}

/// How many have no answer of their own.
#[derive(Debug, Default, Serialize)]
struct LeftOut {
    processes: u64,
    files: u64,
    peers: u64,
}

#[derive(Debug, Serialize)]
struct OneProcess {
    /// `PID-START_NS`: all programs that it ran.
    life: String,
    /// What its summary has instead of that of the range.
    summary: Value,
}

#[derive(Debug, Serialize)]
struct OneFile {
    path: String,
    #[serde(flatten)]
    users: Users,
}

#[derive(Debug, Serialize)]
struct OnePeer {
    protocol: &'static str,
    role: &'static str,
    port: Option<u16>,
    remote: String,
    #[serde(flatten)]
    users: Users,
}

/// What a file or a peer did over time, and by which processes.
#[derive(Debug, Serialize)]
struct Users {
    series: TableSeries,
    table: Table,
}

impl Details {
    /// The answers that fit: into memory, and into a file.
    pub(super) fn new(
        base: &Base,
        plan: &Plan,
        segments: &[Arc<Segment>],
        ledger: &Ledger<'_>,
        bound: &Bound,
    ) -> Result<Self, QueryError> {
        let mut details = Self::default();
        let mut room = Room {
            bound,
            left: MAX_BYTES,
        };
        let summary = &base.summary;
        for key in most_important(&summary.processes) {
            let one = || OneProcess::new(key, base, plan, segments, bound);
            let Some(one) = room.fit(one, |one| length(one).saturating_mul(VALUE_PER_BYTE))? else {
                break;
            };
            details.processes.push(one);
        }
        details.files = files(summary, plan, ledger, &mut room)?;
        details.peers = peers(summary, plan, ledger, &mut room)?;
        let rest = |all: u64, own: usize| all.saturating_sub(own as u64);
        details.left_out = LeftOut {
            processes: rest(summary.distinct_processes, details.processes.len()),
            files: rest(summary.files.total_rows, details.files.len()),
            peers: rest(summary.network.total_peers, details.peers.len()),
        };
        Ok(details)
    }
}

/// How many answers that make `rows` rows each a file may have.
fn affordable(rows: usize, most: usize) -> usize {
    (MAX_READ / rows.max(1)).clamp(1, most)
}

/// The answers about the busiest files.
fn files(
    summary: &Summary,
    plan: &Plan,
    ledger: &Ledger<'_>,
    room: &mut Room<'_>,
) -> Result<Vec<OneFile>, QueryError> {
    let mut files = Vec::new();
    let most = affordable(ledger.file_pairs().len(), MAX_FILES);
    for row in summary.files.rows.iter().take(most) {
        let path = row.file.path.to_string();
        let filter = exactly("path", &path);
        let bound = room.bound;
        let users = || Users::new(Use::File, filter, plan, ledger, bound);
        let Some(users) = room.fit(users, length)? else {
            break;
        };
        files.push(OneFile { path, users });
    }
    Ok(files)
}

/// The answers about the peers with most failures, and the busiest.
fn peers(
    summary: &Summary,
    plan: &Plan,
    ledger: &Ledger<'_>,
    room: &mut Room<'_>,
) -> Result<Vec<OnePeer>, QueryError> {
    let mut peers = Vec::new();
    let most = affordable(ledger.network_pairs().len(), MAX_PEERS);
    for peer in summary.network.peers.iter().take(most) {
        let mut words = vec![
            exactly("protocol", peer.protocol),
            exactly("role", peer.role),
            exactly("remote", &peer.remote),
        ];
        words.extend(peer.port.map(|port| format!("port:{port}")));
        let filter = words.join(" ");
        let bound = room.bound;
        let users = || Users::new(Use::Peer, filter, plan, ledger, bound);
        let Some(users) = room.fit(users, length)? else {
            break;
        };
        peers.push(OnePeer {
            protocol: peer.protocol,
            role: peer.role,
            port: peer.port,
            remote: peer.remote.clone(),
            users,
        });
    }
    Ok(peers)
}

/// The room for answers: memory, and bytes of the file.
struct Room<'b> {
    bound: &'b Bound,
    left: usize,
}

impl Room<'_> {
    /// The answer that `make` makes, if it fits. `memory` is what it keeps of the memory that it takes.
    fn fit<T: Serialize>(
        &mut self,
        make: impl FnOnce() -> Result<T, QueryError>,
        memory: impl Fn(&T) -> usize,
    ) -> Result<Option<T>, QueryError> {
        let before = self.bound.left();
        let made = make();
        // Only the answer stays.
        self.bound.give_back(before - self.bound.left());
        let kept = made.and_then(|made| {
            self.bound.take(memory(&made))?;
            Ok(made)
        });
        match kept {
            Ok(made) => match self.left.checked_sub(length(&made)) {
                Some(left) => {
                    self.left = left;
                    Ok(Some(made))
                }
                None => Ok(None),
            },
            // What the largest query cannot hold is left out.
            Err(QueryError::Memory(MemoryError::TooLarge { .. })) if !self.bound.can_grow() => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl OneProcess {
    fn new(
        life: (u32, u64),
        base: &Base,
        plan: &Plan,
        segments: &[Arc<Segment>],
        bound: &Bound,
    ) -> Result<Self, QueryError> {
        let scope = Scope {
            process: Some(life),
            window: None,
        };
        let ledger = Ledger::new(plan, segments, &scope);
        let own = base.value_of(plan, &ledger, MAX_ROWS, bound)?;
        Ok(Self {
            life: format!("{}-{}", life.0, life.1),
            summary: difference(&base.value, own),
        })
    }
}

/// What processes used.
#[derive(Clone, Copy)]
enum Use {
    File,
    Peer,
}

impl Users {
    fn new(
        what: Use,
        filter: String,
        plan: &Plan,
        ledger: &Ledger<'_>,
        bound: &Bound,
    ) -> Result<Self, QueryError> {
        let (series, table, sort) = match what {
            Use::File => (SeriesKind::File, TableKind::File, "bytes"),
            Use::Peer => (SeriesKind::Network, TableKind::Network, "failures,bytes"),
        };
        let by = Arrangement {
            filter,
            group: Some("process,name,pid,container_pid,args".to_owned()),
            sort: Some(sort.to_owned()),
            limit: Some(MAX_USERS),
            ..Arrangement::default()
        };
        Ok(Self {
            series: TableSeries::new(series, plan, ledger, &by, bound)?,
            table: Table::new(table, plan, ledger, &by, bound)?,
        })
    }
}

/// The lives of the most important processes, each once: half of them for those that failed, and the
/// busiest.
fn most_important(rows: &[ProcessInfo]) -> Vec<(u32, u64)> {
    let mut order: Vec<&ProcessInfo> = rows.iter().filter(|row| row.pid != 0).collect();
    let is_failed = |row: &ProcessInfo| !matches!(row.exit, None | Some(ExitInfo::Code(0)));
    order.sort_by_key(|row| Reverse(row.cpu_ns));
    let (failed, others): (Vec<_>, Vec<_>) = order.into_iter().partition(|row| is_failed(row));
    let (first, last) = failed.split_at(failed.len().min(MAX_PROCESSES / 2));
    let mut lives = Vec::new();
    for row in first.iter().chain(&others).chain(last) {
        match life_of(&row.key) {
            Some(life) if !lives.contains(&life) => lives.push(life),
            _ => {}
        }
        if lives.len() == MAX_PROCESSES {
            break;
        }
    }
    lives
}

/// Process id and start of a key `PID-START_NS-EXEC`.
fn life_of(key: &str) -> Option<(u32, u64)> {
    let mut parts = key.split('-');
    let pid = parts.next()?.parse().ok()?;
    Some((pid, parts.next()?.parse().ok()?))
}

/// A word of a filter that only accepts `text` in `column`, case included.
fn exactly(column: &str, text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{column}:==\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::{affordable, exactly, life_of};

    #[test]
    fn a_word_quotes_what_the_filter_reads() {
        assert_eq!(exactly("path", r#"/a "b"\c"#), r#"path:=="/a \"b\"\\c""#);
    }

    #[test]
    fn a_key_names_a_life_unless_it_is_folded() {
        assert_eq!(life_of("12-345-6"), Some((12, 345)));
        assert_eq!(life_of("x-345-6"), None);
        assert_eq!(life_of("12"), None);
    }

    #[test]
    fn many_rows_afford_fewer_answers() {
        assert_eq!(affordable(0, 60), 60);
        assert_eq!(affordable(100_000, 60), 20);
        assert_eq!(affordable(1 << 40, 60), 1);
    }
}
