//! Fills the structs of offsets that the programs get as globals.

use bubble_common::kernel::offsets::{ABSENT, Field};

use super::btf::{Btf, BtfError};

/// The bytes of a struct of offsets, of which `fields` says what each is.
///
/// # Errors
/// When the kernel lacks a field that is not optional.
pub fn resolve(btf: &Btf, fields: &[Field]) -> Result<Vec<u8>, BtfError> {
    let mut bytes = Vec::with_capacity(4 * fields.len());
    for field in fields {
        let offset = match btf.offset(field.of, field.path) {
            Ok(offset) => offset,
            Err(_) if field.optional => ABSENT,
            Err(error) => return Err(error),
        };
        bytes.extend(offset.to_ne_bytes());
    }
    Ok(bytes)
}
