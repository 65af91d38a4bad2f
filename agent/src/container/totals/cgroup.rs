//! Files of a cgroup, and the numbers in them.

use bubble_common::segment::total::Metric;

use crate::container::files::{Files, Unread};
use crate::container::hierarchy::Hierarchies;

/// Figures of one reading. Counters are since the cgroup was created.
pub(super) type Figures = Vec<(Metric, u64)>;

/// A cgroup, with its open files.
pub(super) struct Cgroup<'a> {
    pub(super) hierarchies: &'a Hierarchies,
    pub(super) path: &'a str,
    pub(super) files: &'a mut Files,
}

impl Cgroup<'_> {
    /// The text of a cgroup v2 file. `None` if it does not exist.
    pub(super) fn v2(&mut self, file: &'static str) -> Result<Option<String>, Unread> {
        self.files.v2(self.hierarchies, self.path, file)
    }

    /// The text of a v1 controller's file. `None` if it does not exist.
    pub(super) fn v1(
        &mut self,
        controller: &'static str,
        file: &'static str,
    ) -> Result<Option<String>, Unread> {
        self.files.v1(self.hierarchies, self.path, controller, file)
    }
}

pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number after `key` in a file with lines of `key number`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| number(line.strip_prefix(key)?.strip_prefix(' ')?))
}
