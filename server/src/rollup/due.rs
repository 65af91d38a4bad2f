//! Which spans are due to be packed: those that are over, and were given time for what comes late.

use bubble_common::segment::{ContainerId, Resolution};

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::row::DirtySpan;

/// How many dirty spans are listed at once.
const PAGE: usize = 500;
/// A span whose finer rows have expired is packed when nothing was put for so
/// long: what comes late comes in many posts, and a slot that is half there
/// could not be told from a whole one afterwards.
const QUIET: u64 = 60;

/// How long after its end a span is packed, in seconds: most of what is late comes by then.
const fn grace(resolution: Resolution) -> u64 {
    match resolution {
        Resolution::Second => 5,
        Resolution::Minute => 30,
        Resolution::Hour => 120,
        Resolution::Day => 300,
    }
}

/// Spans of one resolution that are due, page by page, oldest first.
pub struct Due<'a> {
    store: &'a dyn Store,
    resolution: Resolution,
    now: u64,
    horizon: u64,
    after: Option<(u64, ContainerId)>,
    done: bool,
}

impl<'a> Due<'a> {
    /// Those at `now`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(
        store: &'a dyn Store,
        resolution: Resolution,
        now: u64,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            store,
            resolution,
            now,
            horizon: store.expired_before(resolution).await?,
            after: None,
            done: false,
        })
    }

    /// Some more; none when that were all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(&mut self) -> Result<Option<Vec<DirtySpan>>, StoreError> {
        if self.done {
            return Ok(None);
        }
        let before = (self.now + 1).saturating_sub(self.wait());
        let after = self.after.take();
        let page = self.store.dirty(self.resolution, before, after, PAGE);
        let mut page = page.await?;
        self.done = page.len() < PAGE;
        self.after = page.last().map(|span| (span.start, span.container.clone()));
        page.retain(|span| self.is_due(span));
        Ok(Some(page))
    }

    /// Whether `span` is due: another may have put something into it since it was listed.
    pub fn holds(&self, span: &DirtySpan) -> bool {
        span.start + self.wait() <= self.now && self.is_due(span)
    }

    /// From the start of a span until it is due, in seconds.
    const fn wait(&self) -> u64 {
        grace(self.resolution) + self.resolution.packed_seconds()
    }

    fn is_due(&self, span: &DirtySpan) -> bool {
        let late = span.resolution != Resolution::Second && span.start < self.horizon;
        !late || self.now >= span.touched + QUIET
    }
}

/// What waits to be packed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Spans that are due; of each resolution so many as are listed at once count at most.
    pub spans: u64,
    /// For how long the oldest of them is due, in seconds.
    pub lag: u64,
}

impl Backlog {
    /// What waits at `now`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(store: &dyn Store, now: u64) -> Result<Self, StoreError> {
        let mut backlog = Self::default();
        for resolution in Resolution::ALL {
            let mut due = Due::new(store, resolution, now).await?;
            let page = due.page().await?.unwrap_or_default();
            backlog.spans += page.len() as u64;
            if let Some(oldest) = page.first() {
                let since = oldest.start + due.wait();
                backlog.lag = backlog.lag.max(now.saturating_sub(since));
            }
        }
        Ok(backlog)
    }
}
