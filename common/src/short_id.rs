//! Full ids of containers, and their short form, by which they are stored.

use crate::segment::ContainerId;

/// Digits of the short form of an id.
pub const SHORT_DIGITS: usize = 12;
/// Digits of a full id.
const FULL_DIGITS: usize = 64;

/// Whether `id` is a full id of Docker, Podman, containerd or CRI-O.
pub fn is_full(id: &str) -> bool {
    id.len() == FULL_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The short form that a part of a full id begins with: `None` if `id` has fewer or other digits.
pub fn short_form(id: &str) -> Option<&str> {
    let is_part = id.len() <= FULL_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit());
    id.get(..SHORT_DIGITS).filter(|_| is_part)
}

/// Shortens an id of 64 hexadecimal digits to its first 12, and keeps any other as it is.
///
/// `None` if it is not a valid container id.
pub fn short_id(id: &str) -> Option<ContainerId> {
    let short = is_full(id).then(|| short_form(id)).flatten();
    ContainerId::new(short.unwrap_or(id)).ok()
}
