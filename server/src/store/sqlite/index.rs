//! The index of containers: lists, sorted and filtered.

use async_trait::async_trait;
use bubble_common::segment::ContainerId;
use rusqlite::{Connection, ToSql, named_params};

use super::database::Sqlite;
use super::entry::{self, BINDING, COLUMNS, NEVER, RECORDINGS};
use crate::store::column::{number, unsigned};
use crate::store::container::{Container, State};
use crate::store::error::{StoreError, failed};
use crate::store::index::{ContainerFilter, ContainerPage, Index, Sort};

#[async_trait]
impl Index for Sqlite {
    async fn container(&self, id: &ContainerId) -> Result<Option<Container>, StoreError> {
        let id = id.clone();
        self.read(
            move |connection| Ok(entry::get(connection, &id)?.map(|(_, container)| container)),
        )
        .await
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<ContainerPage, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| page(connection, &filter)).await
    }
}

/// Reads a page of the index.
fn page(connection: &Connection, filter: &ContainerFilter) -> Result<ContainerPage, StoreError> {
    let state = match filter.state {
        None => ":heard = :heard".to_owned(),
        Some(State::Running) => "ended = 0 AND last_seen >= :heard".to_owned(),
        Some(State::Silent) => {
            format!("ended = 0 AND last_seen < :heard AND live_since < {NEVER}")
        }
        Some(State::Ended) => {
            format!("(ended != 0 OR (last_seen < :heard AND live_since = {NEVER}))")
        }
    };
    // Facts contain name, image, host and labels, so this searches all of them.
    let conditions = format!(
        "(:search IS NULL OR instr(lower(name || ' ' || facts || ' ' || {RECORDINGS}), :search) > 0)
         AND (:host IS NULL OR host = :host) AND {state}"
    );
    let order = match filter.sort {
        Sort::Activity => "last_seen DESC",
        Sort::Name => "CASE title WHEN '' THEN name ELSE title END COLLATE NOCASE",
        Sort::Cpu => "cpu_ns DESC",
        Sort::Memory => "memory_peak DESC",
        Sort::Bytes => "bytes_in + bytes_out DESC",
    };
    let search = filter.search.as_ref().map(|text| text.to_lowercase());
    let heard = number(filter.now.saturating_sub(State::SILENT_AFTER));
    let (limit, offset) = (number(filter.limit as u64), number(filter.offset as u64));
    let common: [(&str, &dyn ToSql); 3] = [
        (":search", &search),
        (":host", &filter.host),
        (":heard", &heard),
    ];
    let total: i64 = connection
        .prepare_cached(&format!(
            "SELECT count(*) FROM container WHERE {conditions}"
        ))
        .and_then(|mut statement| statement.query_row(&common[..], |row| row.get(0)))
        .map_err(failed("count containers"))?;
    let containers = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, {RECORDINGS}, {BINDING} FROM container WHERE {conditions} ORDER BY {order}, name LIMIT :limit OFFSET :offset"
        ))
        .and_then(|mut statement| {
            let rows = statement.query_map(
                named_params! {
                    ":search": search, ":host": filter.host, ":heard": heard,
                    ":limit": limit, ":offset": offset,
                },
                entry::read_undamaged,
            )?;
            rows.filter_map(Result::transpose).collect()
        })
        .map_err(failed("list containers"))?;
    Ok(ContainerPage {
        containers,
        total: unsigned(total),
    })
}
