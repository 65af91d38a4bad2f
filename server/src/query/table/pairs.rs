//! Rows of processes and what they used. Rows of one process or one file share its texts.

use std::collections::HashMap;

use super::row::{CpuCell, FileCell, NetworkCell, Who};
use crate::memory::MemoryError;
use crate::query::bound::Bound;
use crate::query::io::{ConnectionSums, FileSums};
use crate::query::ledger::Ledger;
use crate::query::process::key_of;
use crate::query::text::Words;

/// Memory of an entry in a table of texts, beside the texts: two counters each, and the entry.
const ENTRY: usize = 192;

/// Makes the processes of rows, each once. Rows of one process follow each other.
struct Whos<'l> {
    ledger: &'l Ledger<'l>,
    bound: &'l Bound,
    latest: Option<(u32, Who)>,
}

impl<'l> Whos<'l> {
    fn new(ledger: &'l Ledger<'l>, bound: &'l Bound) -> Self {
        Self {
            ledger,
            bound,
            latest: None,
        }
    }

    /// The process with this index.
    fn get(&mut self, index: u32) -> Result<Who, MemoryError> {
        if let Some((latest, who)) = &self.latest
            && *latest == index
        {
            return Ok(who.clone());
        }
        let process = &self.ledger.processes[index as usize].process;
        let texts = 2 * process.name.len() + process.args.len();
        self.bound.take(ENTRY + texts)?;
        let who = Who {
            process: key_of(process).into(),
            pid: process.id.pid,
            container_pid: process.container_pid,
            name: process.name.as_str().into(),
            args: Words::new(&process.args),
        };
        self.latest = Some((index, who.clone()));
        Ok(who)
    }
}

/// A row for each process and file.
pub(super) fn files(ledger: &Ledger<'_>, bound: &Bound) -> Result<Vec<FileCell>, MemoryError> {
    let pairs = ledger.file_pairs();
    bound.take(pairs.len() * size_of::<FileCell>())?;
    let mut whos = Whos::new(ledger, bound);
    let mut known = HashMap::new();
    let mut rows = Vec::with_capacity(pairs.len());
    for (process, file, io) in pairs {
        let sums = match known.get(file) {
            Some(sums) => sums,
            None => {
                bound.take(ENTRY + FileSums::texts(file))?;
                known.entry(file).or_insert(FileSums::new(file, &io))
            }
        };
        rows.push(FileCell {
            who: whos.get(process)?,
            file: sums.with(&io),
        });
    }
    Ok(rows)
}

/// A row for each process and connection.
pub(super) fn connections(
    ledger: &Ledger<'_>,
    bound: &Bound,
) -> Result<Vec<NetworkCell>, MemoryError> {
    let pairs = ledger.network_pairs();
    bound.take(pairs.len() * size_of::<NetworkCell>())?;
    let mut whos = Whos::new(ledger, bound);
    let mut known = HashMap::new();
    let mut rows = Vec::with_capacity(pairs.len());
    for (process, connection, io) in pairs {
        let sums = match known.get(connection) {
            Some(sums) => sums,
            None => {
                bound.take(ENTRY + ConnectionSums::texts(connection))?;
                let sums = ConnectionSums::new(connection, &io);
                known.entry(connection).or_insert(sums)
            }
        };
        rows.push(NetworkCell {
            who: whos.get(process)?,
            connection: sums.with(&io),
        });
    }
    Ok(rows)
}

/// A row for each process and core.
pub(super) fn cores(ledger: &Ledger<'_>, bound: &Bound) -> Result<Vec<CpuCell>, MemoryError> {
    let pairs = &ledger.cpu_pairs;
    bound.take(pairs.len() * size_of::<CpuCell>())?;
    let mut whos = Whos::new(ledger, bound);
    let mut rows = Vec::with_capacity(pairs.len());
    for ((process, core), ns) in pairs {
        rows.push(CpuCell {
            who: whos.get(*process)?,
            core: *core,
            cpu_ns: *ns,
        });
    }
    Ok(rows)
}
