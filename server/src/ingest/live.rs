//! Tells live streams what has come in.
//!
//! Only *that* something came is told, and for which span; a stream then asks
//! the store, as a page does, so that it shows the same sums whatever sources
//! there are.

use std::ops::Range;

use bubble_common::segment::ContainerId;
use tokio::sync::broadcast;

/// Something new of a container is in the store.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The container.
    pub container: ContainerId,
    /// The seconds that are new.
    pub span: Range<u64>,
}

/// Where notices go.
#[derive(Debug, Clone)]
pub struct Live {
    notices: broadcast::Sender<Notice>,
}

impl Default for Live {
    fn default() -> Self {
        // A stream that is slower than this many notices is told so, and asks for all that it missed.
        let (notices, _) = broadcast::channel(4_096);
        Self { notices }
    }
}

impl Live {
    /// Tells all who listen. Costs next to nothing when nobody does.
    pub fn tell(&self, notice: impl FnOnce() -> Notice) {
        if self.notices.receiver_count() > 0 {
            // Fails only when the last listener has just gone.
            let _ = self.notices.send(notice());
        }
    }

    /// Notices from now on.
    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }
}
