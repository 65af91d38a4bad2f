//! Rows of processes and what they used.

use super::row::{FileCell, NetworkCell, Who};
use crate::query::io::{ConnectionSums, FileSums};
use crate::query::ledger::Ledger;
use crate::query::process::{key_of, words_of};

/// The process with this index.
pub(super) fn who(ledger: &Ledger<'_>, index: u32) -> Who {
    let process = &ledger.processes[index as usize].process;
    Who {
        process: key_of(process),
        pid: process.id.pid,
        container_pid: process.container_pid,
        name: process.name.clone(),
        args: words_of(process),
    }
}

/// A row for each process and file.
pub(super) fn files(ledger: &Ledger<'_>) -> Vec<FileCell> {
    let pairs = ledger.file_pairs().into_iter();
    pairs
        .map(|(process, file, io)| FileCell {
            who: who(ledger, process),
            file: FileSums::new(file, &io),
        })
        .collect()
}

/// A row for each process and connection.
pub(super) fn connections(ledger: &Ledger<'_>) -> Vec<NetworkCell> {
    let pairs = ledger.network_pairs().into_iter();
    pairs
        .map(|(process, connection, io)| NetworkCell {
            who: who(ledger, process),
            connection: ConnectionSums::new(connection, &io),
        })
        .collect()
}
