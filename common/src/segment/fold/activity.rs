//! How busy rows are, which decides which are kept.

use std::cmp::Reverse;

use crate::segment::file::FileIo;
use crate::segment::network::NetworkIo;

/// Activity of a row. One unit is about a call, a microsecond, a page, or a tenth of a millisecond of waiting.
pub(super) fn file_activity(value: &FileIo) -> u64 {
    let bytes = value.bytes_in.saturating_add(value.bytes_out) / 4_096;
    [
        value.ops_in,
        value.ops_out,
        value.opens,
        value.mapped_pages,
        value.waited,
    ]
    .into_iter()
    .fold(bytes, u64::saturating_add)
}

pub(super) fn network_activity(value: &NetworkIo) -> u64 {
    let bytes = value.bytes_in.saturating_add(value.bytes_out) / 4_096;
    [
        value.ops_in,
        value.ops_out,
        value.connects,
        value.failures,
        value.waited,
    ]
    .into_iter()
    .fold(bytes, u64::saturating_add)
}

/// The `count` busiest of the indices that `eligible` accepts, as a mask.
/// Of two equals the earlier is the busier.
pub(super) fn busiest(
    activity: &[u64],
    count: usize,
    eligible: impl Fn(usize) -> bool,
) -> Vec<bool> {
    let mut ranked: Vec<usize> = (0..activity.len()).filter(|&i| eligible(i)).collect();
    ranked.sort_by_key(|&index| (Reverse(activity[index]), index));
    let mut mask = vec![false; activity.len()];
    for index in ranked.into_iter().take(count) {
        mask[index] = true;
    }
    mask
}
