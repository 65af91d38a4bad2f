//! Conversions between Rust types and the columns of every backend.

use crate::span::row::Form;

/// Converts to a signed column; saturates.
pub(super) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Converts from a signed column; a negative value becomes 0.
pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
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
