//! Versions of dirty spans, which tell a packer whether a piece came meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::row_id::SpanKey;

/// The latest put into each dirty span since this process started.
///
/// The writer shares it with readers. A packer reads the version before the pieces, and
/// the mark is cleared only if the version is still the same. The version changes after the
/// commit, so whoever sees the new version also sees the new piece.
#[derive(Default, Clone)]
pub(super) struct Versions(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    last: u64,
    spans: HashMap<SpanKey, Version>,
}

/// The latest put into a dirty span.
#[derive(Default, Clone, Copy)]
pub(super) struct Version {
    /// Unique and growing; 0 if nothing was put since this process started.
    pub(super) number: u64,
    /// When, in seconds since the Unix epoch; 0 likewise.
    pub(super) at: u64,
}

impl Versions {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version of a span.
    pub(super) fn of(&self, span: SpanKey) -> Version {
        self.lock().spans.get(&span).copied().unwrap_or_default()
    }

    /// Gives `spans` new versions.
    pub(super) fn touch(&self, spans: impl IntoIterator<Item = SpanKey>, at: u64) {
        let mut table = self.lock();
        for span in spans {
            table.last += 1;
            let number = table.last;
            table.spans.insert(span, Version { number, at });
        }
    }

    /// Forgets `spans`, which are no longer dirty.
    pub(super) fn clear(&self, spans: impl IntoIterator<Item = SpanKey>) {
        let mut table = self.lock();
        for span in spans {
            table.spans.remove(&span);
        }
    }
}
