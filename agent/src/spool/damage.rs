//! Batches whose bytes were changed on the disk: each is a loss that is noted once.

use bubble_common::segment::loss::Reason;

use super::files::Location;
use super::{Payload, Spool, Waiting};

impl Spool {
    /// Notes the damage that the files had when they were opened, unless an earlier run has, and removes it
    /// beside the batches that were `found`.
    pub(super) fn note_found_damage(&mut self, found: &mut [Location]) {
        let damaged = std::mem::take(&mut self.files.damaged);
        for (number, segments) in &damaged {
            let noted = self.noted_damage.get(number).copied().unwrap_or(0);
            self.lose(Reason::SPOOL_DAMAGED, segments.saturating_sub(noted));
        }
        if self.noted_damage != damaged {
            self.noted_damage = damaged;
            self.undelivered.set_changed(true);
        }
        self.save_losses();
        if !self.losses_failed {
            // Not before: the next run notes the damage if this one cannot.
            for number in self.files.remove_damage(found) {
                self.noted_damage.remove(&number);
                self.undelivered.set_changed(true);
            }
            self.save_losses();
        }
    }

    /// Notes the loss of a batch that was damaged on the disk, with the losses that it was to report.
    pub(super) fn note_damage(&mut self, waiting: &Waiting) {
        if let Payload::Disk(location) = &waiting.payload {
            let noted = self.noted_damage.entry(location.file.number).or_default();
            *noted = noted.saturating_add(waiting.segments.into());
        }
        self.undelivered.add_reported(&waiting.content.reported);
        self.lose(Reason::SPOOL_DAMAGED, waiting.content.seconds);
    }
}
