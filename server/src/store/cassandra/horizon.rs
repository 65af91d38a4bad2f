//! The horizon of each resolution: packed rows of spans before it have expired.

use bubble_common::segment::Resolution;

use super::session::Cql;
use super::value::resolution_number;
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;

/// The horizon; 0 if nothing has expired.
pub(super) async fn get(cql: &Cql, resolution: Resolution) -> Result<u64, StoreError> {
    let rows: Vec<(i64,)> = cql
        .rows(
            "read what has expired",
            "SELECT before FROM horizon WHERE resolution = ?",
            (resolution_number(resolution),),
        )
        .await?;
    Ok(rows.first().map_or(0, |(before,)| unsigned(*before)))
}

/// Moves the horizon forward. It is its own timestamp, so that the greatest stays.
pub(super) async fn set(cql: &Cql, resolution: Resolution, before: u64) -> Result<(), StoreError> {
    cql.write(
        "note what has expired",
        "INSERT INTO horizon (resolution, before) VALUES (?, ?) USING TIMESTAMP ?",
        (
            resolution_number(resolution),
            number(before),
            number(before),
        ),
    )
    .await
}
