//! Numbers and names as columns have them, and back.

use bubble_common::segment::{ContainerId, Resolution, SourceId};
use scylla::value::CqlValue;
use sha2::{Digest, Sha256};

use crate::store::error::StoreError;
use crate::store::row::Form;

/// A number as a column has it. Cassandra's are signed; what is beyond saturates.
pub(super) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

pub(super) fn big(n: u64) -> Option<CqlValue> {
    Some(CqlValue::BigInt(number(n)))
}

/// All 64 bits, as they are.
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

pub(super) const fn form_number(form: Form) -> i8 {
    match form {
        Form::Packed => 0,
        Form::Rolled => 1,
        Form::Posted => 2,
    }
}

pub(super) const fn form_of(n: i8) -> Form {
    match n {
        0 => Form::Packed,
        1 => Form::Rolled,
        _ => Form::Posted,
    }
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

/// How many partitions share what would else be in one.
pub(super) const SHARDS: u8 = 16;

/// In which of them a container is.
pub(super) fn shard(id: &ContainerId) -> i8 {
    let digest = Sha256::digest(id.as_str());
    (digest[0] % SHARDS).cast_signed()
}
