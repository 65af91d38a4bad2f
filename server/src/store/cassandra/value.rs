//! Conversions between Rust types and columns.

use bubble_common::segment::{ContainerId, Resolution, SourceId};
use scylla::value::CqlValue;
use sha2::{Digest, Sha256};

use crate::store::column::number;
use crate::store::error::StoreError;

pub(super) fn big(n: u64) -> Option<CqlValue> {
    Some(CqlValue::BigInt(number(n)))
}

/// All 64 bits, unchanged.
pub(super) fn bits(n: u64) -> Option<CqlValue> {
    Some(CqlValue::BigInt(n.cast_signed()))
}

pub(super) fn text(value: &str) -> Option<CqlValue> {
    Some(CqlValue::Text(value.to_owned()))
}

pub(super) fn blob(bytes: &[u8]) -> Option<CqlValue> {
    Some(CqlValue::Blob(bytes.to_vec()))
}

pub(super) fn tiny(n: i8) -> Option<CqlValue> {
    Some(CqlValue::TinyInt(n))
}

pub(super) const fn resolution_number(resolution: Resolution) -> i8 {
    resolution as i8
}

pub(super) fn resolution_of(n: i8) -> Result<Resolution, StoreError> {
    let known = u8::try_from(n).ok().and_then(Resolution::from_u8);
    known.ok_or_else(|| corrupt(format!("resolution {n}")))
}

pub(super) fn source_of(bytes: &[u8]) -> Result<SourceId, StoreError> {
    let id = bytes.try_into().map(SourceId);
    id.map_err(|_| corrupt(format!("a source of {} bytes", bytes.len())))
}

pub(super) fn container_of(name: &str) -> Result<ContainerId, StoreError> {
    ContainerId::new(name).map_err(|error| corrupt(error.to_string()))
}

pub(super) fn corrupt(what: String) -> StoreError {
    StoreError::Corrupt { what }
}

/// Partitions of a table that would otherwise have one.
pub(super) const SHARDS: u8 = 16;

/// The partition of a container.
pub(super) fn shard(id: &ContainerId) -> i8 {
    let digest = Sha256::digest(id.as_str());
    (digest[0] % SHARDS).cast_signed()
}
