//! What a report needs to know beside the sums.

use std::ops::Range;

use super::asked::Asked;

/// What a report needs to know beside the sums.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// What was asked for, as far as a person told it. Limits of the cgroup are in the sums.
    pub asked: Asked,
    /// The same as far as Slurm told it. What a person told counts first, each figure by itself.
    pub slurm: Asked,
    /// What could not be counted there, one sentence each.
    pub missing: Vec<String>,
    /// The container still runs.
    pub is_running: bool,
    /// Entries of each list at most.
    pub rows: usize,
    /// When what is known begins and ends, if that is known better than to the second: ns since the Unix
    /// epoch.
    pub known: Option<Range<u64>>,
    /// The time that was asked about, seconds since the Unix epoch: the report's, if nothing is known.
    pub span: Range<u64>,
}
