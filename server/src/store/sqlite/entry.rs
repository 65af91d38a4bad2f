//! Entries of the index: the table `container`, one row each.

use bubble_common::segment::{ContainerId, Facts, facts};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use tracing::error;

use super::row_id::ContainerRow;
use crate::metrics::count_damaged_row;
use crate::store::binding::{Binding, of_container};
use crate::store::column::{number, unsigned};
use crate::store::container::Container;
use crate::store::error::{StoreError, failed};
use crate::store::recent::Recent;

pub(super) const COLUMNS: &str = "id, name, facts, facts_at, first_seen, last_seen, cpu_ns, memory_now, \
    memory_peak, memory_limit, bytes_in, bytes_out, recent, live_since";
/// One more column: names of the recordings that contain a container, as JSON.
pub(super) const RECORDINGS: &str = "(SELECT json_group_array(recording.name ORDER BY recording.id) \
    FROM (SELECT DISTINCT recording FROM recorded WHERE recorded.container = container.id) \
    JOIN recording ON recording.id = recording AND NOT deleted)";

/// One more column: the binding of a container, as JSON, or NULL.
pub(super) const BINDING: &str = "(SELECT json_array(owner, host, identity, key, since) FROM binding \
    WHERE binding.name = container.name)";

/// [`Container::NEVER`] in a column.
pub(super) const NEVER: i64 = i64::MAX;

/// Reads an entry and its row number.
pub(super) fn get(
    connection: &Connection,
    id: &ContainerId,
) -> Result<Option<(ContainerRow, Container)>, StoreError> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, {RECORDINGS}, {BINDING} FROM container WHERE name = ?1"
        ))
        .and_then(|mut statement| statement.query_row([id.as_str()], read).optional())
        .map_err(failed("look up a container"))
}

/// The row number of a container.
pub(super) fn row_of(
    connection: &Connection,
    id: &ContainerId,
) -> Result<Option<ContainerRow>, StoreError> {
    connection
        .prepare_cached("SELECT id FROM container WHERE name = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([id.as_str()], |row| row.get(0))
                .optional()
        })
        .map_err(failed("look up a container"))
}

/// Adds a container and returns its row number.
pub(super) fn insert(
    connection: &Connection,
    container: &Container,
) -> Result<ContainerRow, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO container (name, facts, facts_at, title, host, ended, first_seen, last_seen,
                cpu_ns, memory_now, memory_peak, memory_limit, bytes_in, bytes_out, recent)
             VALUES (?1, '{}', 0, '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, x'')",
        )
        .and_then(|mut statement| statement.insert([container.id.as_str()]))
        .map_err(failed("add a container"))
}

/// Writes entries without their facts, with one prepared statement, because looking it up for each is
/// costly.
pub(super) struct Update<'a> {
    sums: CachedStatement<'a>,
}

impl<'a> Update<'a> {
    pub(super) fn new(connection: &'a Connection) -> Result<Self, StoreError> {
        let sums = connection
            .prepare_cached(
                "UPDATE container SET facts_at = ?2, first_seen = ?3, last_seen = ?4, cpu_ns = ?5,
                    memory_now = ?6, memory_peak = ?7, memory_limit = ?8, bytes_in = ?9,
                    bytes_out = ?10, recent = ?11, live_since = ?12
                 WHERE id = ?1",
            )
            .map_err(failed("update a container"))?;
        Ok(Self { sums })
    }

    /// Writes an entry.
    pub(super) fn sums(
        &mut self,
        row: ContainerRow,
        container: &Container,
    ) -> Result<(), StoreError> {
        self.sums
            .execute(params![
                row,
                number(container.facts_at),
                number(container.first_seen),
                number(container.last_seen),
                number(container.cpu_ns),
                number(container.memory_now),
                number(container.memory_peak),
                number(container.memory_limit),
                number(container.bytes_in),
                number(container.bytes_out),
                container.recent.to_bytes(),
                number(container.live_since),
            ])
            .map(drop)
            .map_err(failed("update a container"))
    }
}

/// Writes the facts of an entry.
pub(super) fn update_facts(
    connection: &Connection,
    row: ContainerRow,
    container: &Container,
) -> Result<(), StoreError> {
    let json = serde_json::to_string(&container.facts).unwrap_or_default();
    let fact = |name| container.facts.get(name).map_or("", String::as_str);
    connection
        .prepare_cached(
            "UPDATE container SET facts = ?2, title = ?3, host = ?4, ended = ?5 WHERE id = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                row,
                json,
                fact(facts::NAME),
                fact(facts::HOST),
                number(container.ended().unwrap_or(0)),
            ])
        })
        .map(drop)
        .map_err(failed("update a container"))
}

/// The container id in a column.
pub(super) fn id_of(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<ContainerId> {
    let name: String = row.get(column)?;
    ContainerId::new(&name).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

/// Reads an entry of a list. `None` if it is damaged, so that it does not hide the others.
pub(super) fn read_undamaged(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Container>> {
    use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType};
    match read(row) {
        Ok((_, container)) => Ok(Some(container)),
        Err(error @ (FromSqlConversionFailure(..) | InvalidColumnType(..))) => {
            count_damaged_row();
            error!(%error, "the stored entry of a container is damaged and left out");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<(ContainerRow, Container)> {
    let id = id_of(row, 1)?;
    let facts: String = row.get(2)?;
    let facts = serde_json::from_str(&facts).unwrap_or_else(|error| {
        count_damaged_row();
        error!(container = id.as_str(), %error, "the stored facts of a container are damaged");
        Facts::new()
    });
    let recent: Vec<u8> = row.get(12)?;
    let recordings: String = row.get(14)?;
    let binding: Option<String> = row.get(15)?;
    let column = |index: usize| row.get(index).map(unsigned);
    let last_seen = column(5)?;
    let container = Container {
        binding: binding.and_then(|json| binding_of(&id, &json)),
        id,
        facts,
        facts_at: column(3)?,
        // A new row has seen nothing yet.
        first_seen: if last_seen == 0 { u64::MAX } else { column(4)? },
        last_seen,
        live_since: match row.get(13)? {
            NEVER => Container::NEVER,
            at => unsigned(at),
        },
        recordings: serde_json::from_str(&recordings).unwrap_or_default(),
        cpu_ns: column(6)?,
        memory_now: column(7)?,
        memory_peak: column(8)?,
        memory_limit: column(9)?,
        bytes_in: column(10)?,
        bytes_out: column(11)?,
        recent: Recent::from_bytes(&recent),
    };
    Ok((row.get(0)?, container))
}

/// The binding of a container in the column [`BINDING`].
fn binding_of(id: &ContainerId, json: &str) -> Option<Binding> {
    let (owner, host, identity, key, since) = serde_json::from_str(json).ok()?;
    Some(Binding {
        name: of_container(id),
        owner,
        host,
        identity,
        key,
        since,
    })
}
