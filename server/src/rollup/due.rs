//! Spans that are due to be packed: they are over, and late segments had time to arrive.

use std::time::Duration;

use bubble_common::segment::{ContainerId, Resolution};

use crate::store::error::StoreError;
use crate::store::packing::{DirtySpan, Packing};

/// Dirty spans listed at once.
const PAGE_SIZE: usize = 500;
/// Time without posts after which a span with expired finer rows is packed. Late data comes in
/// many posts, and afterwards a slot that was half complete looks like a whole one.
const QUIET_TIME: Duration = Duration::from_secs(60);

/// Seconds between the end of a span and its packing. Most late segments come by then: agents deliver
/// every ten seconds by default. What comes later is packed once more.
const fn grace(resolution: Resolution) -> u64 {
    match resolution {
        Resolution::Second => 15,
        Resolution::Minute => 30,
        Resolution::Hour => 120,
        Resolution::Day => 300,
    }
}

/// Due spans of one resolution, page by page, oldest first.
pub struct Due<'a> {
    store: &'a dyn Packing,
    resolution: Resolution,
    now: u64,
    horizon: u64,
    after: Option<(u64, ContainerId)>,
    exhausted: bool,
}

impl<'a> Due<'a> {
    /// The spans that are due at `now`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(
        store: &'a dyn Packing,
        resolution: Resolution,
        now: u64,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            store,
            resolution,
            now,
            horizon: store.expired_before(resolution).await?,
            after: None,
            exhausted: false,
        })
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(&mut self) -> Result<Option<Vec<DirtySpan>>, StoreError> {
        if self.exhausted {
            return Ok(None);
        }
        let before = (self.now + 1).saturating_sub(self.delay());
        let after = self.after.take();
        let page = self.store.dirty(self.resolution, before, after, PAGE_SIZE);
        let mut page = page.await?;
        self.exhausted = page.len() < PAGE_SIZE;
        self.after = page.last().map(|span| (span.start, span.container.clone()));
        page.retain(|span| self.is_due(span));
        Ok(Some(page))
    }

    /// Whether `span` is still due. It may have got new pieces since it was listed.
    pub fn holds(&self, span: &DirtySpan) -> bool {
        span.start + self.delay() <= self.now && self.is_due(span)
    }

    /// Seconds from the start of a span until it is due.
    const fn delay(&self) -> u64 {
        grace(self.resolution) + self.resolution.packed_seconds()
    }

    fn is_due(&self, span: &DirtySpan) -> bool {
        let finer_expired = span.resolution != Resolution::Second && span.start < self.horizon;
        !finer_expired || self.now >= span.touched + QUIET_TIME.as_secs()
    }
}

/// Spans that wait to be packed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Due spans. Counts one page of each resolution at most.
    pub spans: u64,
    /// For how long the oldest has been due, in seconds.
    pub lag: u64,
}

impl Backlog {
    /// Counts the spans that are due at `now`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(store: &dyn Packing, now: u64) -> Result<Self, StoreError> {
        let mut backlog = Self::default();
        for resolution in Resolution::ALL {
            let mut due = Due::new(store, resolution, now).await?;
            let page = due.page().await?.unwrap_or_default();
            backlog.spans += page.len() as u64;
            if let Some(oldest) = page.first() {
                let since = oldest.start + due.delay();
                backlog.lag = backlog.lag.max(now.saturating_sub(since));
            }
        }
        Ok(backlog)
    }
}
