//! Notifies live streams of new segments.
//!
//! A notice holds only the container and the span. A stream then queries the store as a page
//! does, so it shows the same sums whatever sources there are.

use std::ops::Range;

use bubble_common::segment::ContainerId;
use tokio::sync::broadcast;

/// A new segment of a container is in the store.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The container.
    pub container: ContainerId,
    /// The span of the segment.
    pub span: Range<u64>,
}

/// Notices that a slow stream may lag behind. Beyond that it learns of the gap, and queries all that
/// it missed.
const MAX_NOTICES: usize = 4_096;

/// The channel of notices.
#[derive(Debug, Clone)]
pub struct Live {
    notices: broadcast::Sender<Notice>,
}

impl Default for Live {
    fn default() -> Self {
        let (notices, _) = broadcast::channel(MAX_NOTICES);
        Self { notices }
    }
}

impl Live {
    /// Notifies all streams. Costs next to nothing without any.
    pub fn notify(&self, notice: impl FnOnce() -> Notice) {
        if self.notices.receiver_count() > 0 {
            // Fails only if the last stream has just ended.
            let _ = self.notices.send(notice());
        }
    }

    /// Subscribes to notices from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }
}
