//! The journal: what an agent notes so that the next one can continue, if it is killed.
//!
//! It is in memory that outlives the agent (`region`), beside the pinned maps. A number changes by one
//! store, an entry counts once its end is noted (`log`); so whenever the agent is killed, the journal is
//! as before a step or as after it.
//!
//! **Sums.** A drain copies the sums of a generation, and leaves them in the kernel until they are in the
//! spool. The journal has the steps:
//!
//! | step | the journal says | killed after it, the next run |
//! |---|---|---|
//! | 1. remove the sums of generation *g* − 1 | spooled *g* − 1 | goes on with *g* |
//! | 2. note source and second | drained *g* | goes on with *g*: the kernel still writes it |
//! | 3. let programs write *g* + 1, copy the sums of *g* | the same | drains *g* again, for the same source and second |
//! | 4. write the segments into the spool | the same | the same; the server has the second already, and skips it |
//! | 5. receipt | spooled *g* | goes on with *g* + 1 |
//!
//! Step 1 of the next second waits for the receipt. So each sum reaches the server under one key, once or
//! several times, and counts once.
//!
//! **Records.** The ring buffers forget a record when it is read. A copy stays here until the segments
//! that it led to are spooled. Those that do not fit are counted, and the next run reports them as lost.
//!
//! **Texts.** The kernel sends each path once, so the paths in use stay here.

mod log;
mod region;
mod texts;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use bubble_common::segment::SourceId;

use self::log::Log;
use self::region::{Region, WORDS};
pub use self::texts::Texts;

/// Changes whenever the meaning of the bytes does.
pub const LAYOUT: u64 = 3;

/// Size of each of the two logs of records.
const RECORD_BYTES: usize = 1 << 20;
/// Size of each of the two logs of texts.
const TEXT_BYTES: usize = 2 << 20;
/// Longest record of the kernel side: path and arguments of a program, and their header.
const MAX_RECORD: usize = 16 << 10;
/// Running totals that are noted with each generation.
pub const TOTALS: usize = 18;

/// Indices of the numbers.
mod word {
    use super::TOTALS;

    pub(super) const LAYOUT: usize = 0;
    /// Generation that was drained last, or is being drained.
    pub(super) const DRAINED: usize = 1;
    /// Generation of the last receipt.
    pub(super) const SPOOLED: usize = 2;
    /// Generation of the records that arrive now.
    pub(super) const RECORDED: usize = 3;
    /// Log of texts in use: 0 or 1.
    pub(super) const TEXTS: usize = 4;
    /// Records of two generations that did not fit.
    const DROPPED: usize = 5;
    /// Bytes used of each log.
    pub(super) const USED: usize = 8;
    /// Of two generations: source (2), second, generation of the totals, totals.
    const DRAINS: usize = 16;
    pub(super) const DRAIN_WORDS: usize = 4 + TOTALS;

    pub(super) const fn dropped(generation: u64) -> usize {
        DROPPED + (generation & 1) as usize
    }

    pub(super) const fn drain(generation: u64) -> usize {
        DRAINS + (generation & 1) as usize * DRAIN_WORDS
    }
}

const _: () = assert!(word::drain(1) + word::DRAIN_WORDS <= WORDS);

/// What an earlier run drained, and did not spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unspooled {
    /// Its source.
    pub source: SourceId,
    /// Second that the sums are of.
    pub second: u64,
    /// Generation of the sums.
    pub generation: u64,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Journal {
    region: Arc<Region>,
    records: [Log; 2],
    source: SourceId,
    unspooled: Option<Unspooled>,
    last_second: Option<u64>,
}

impl Journal {
    /// Its size in bytes.
    pub const BYTES: usize = Region::size(2 * (RECORD_BYTES + TEXT_BYTES));

    /// The journal in the memory of a descriptor. Without one, in memory that ends with the process.
    ///
    /// # Errors
    /// When the memory cannot be mapped, or has another layout.
    pub fn open(descriptor: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        let region = Arc::new(Region::map(descriptor, Self::BYTES)?);
        let layout = region.word(word::LAYOUT);
        if !matches!(layout.load(Acquire), 0 | LAYOUT) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the journal is of another version of the agent",
            ));
        }
        layout.store(LAYOUT, Release);
        let log = |number: usize, start, size| {
            Log::new(Arc::clone(&region), word::USED + number, start, size)
        };
        Ok(Self {
            records: [log(0, 0, RECORD_BYTES), log(1, RECORD_BYTES, RECORD_BYTES)],
            region,
            source: SourceId([0; 16]),
            unspooled: None,
            last_second: None,
        })
    }

    fn load(&self, index: usize) -> u64 {
        self.region.word(index).load(Acquire)
    }

    fn store(&self, index: usize, value: u64) {
        self.region.word(index).store(value, Release);
    }

    /// Begins with the generation that the kernel writes now. `first`: nothing was drained before.
    /// Returns the records that led to no spooled segment, with their generation.
    pub fn resume(&mut self, generation: u64, first: bool) -> Vec<(u64, Vec<u8>)> {
        if first {
            self.store(word::RECORDED, generation);
        }
        let (drained, spooled) = (self.load(word::DRAINED), self.load(word::SPOOLED));
        let before = generation.wrapping_sub(1);
        self.last_second = (!first && before > 0).then(|| self.noted(before).second);
        self.unspooled =
            (!first && drained == before && spooled < drained).then(|| self.noted(drained));
        if self.unspooled.is_none() {
            // It was noted, and the kernel never left the generation; or there is nothing to do.
            self.store(word::DRAINED, before);
            self.store(word::SPOOLED, before);
        }
        let recorded = self.load(word::RECORDED);
        let oldest = self.unspooled.map_or(generation, |it| it.generation);
        (oldest..=generation)
            .filter(|generation| *generation <= recorded)
            .flat_map(|generation| {
                let records = self.records[generation as usize & 1].entries();
                records.into_iter().map(move |record| (generation, record))
            })
            .collect()
    }

    fn noted(&self, generation: u64) -> Unspooled {
        let at = word::drain(generation);
        let source = u128::from(self.load(at)) << 64 | u128::from(self.load(at + 1));
        Unspooled {
            source: SourceId(source.to_be_bytes()),
            second: self.load(at + 2),
            generation,
        }
    }

    /// What an earlier run drained, and did not spool.
    pub fn unspooled(&self) -> Option<Unspooled> {
        self.unspooled
    }

    /// The last second that an earlier run has drained.
    pub fn last_second(&self) -> Option<u64> {
        self.last_second
    }

    /// Sets the source of the segments from now on.
    pub fn set_source(&mut self, source: SourceId) {
        self.source = source;
    }

    /// Whether everything drained so far is spooled, so that the next second may be drained.
    pub fn is_ready(&self) -> bool {
        self.load(word::SPOOLED) >= self.load(word::DRAINED)
    }

    /// Goes on without a receipt: from here on a kill may lose what was drained last.
    pub fn give_up(&self) {
        self.receipt().give();
    }

    /// Notes that `generation` is drained, for `second`.
    pub fn begin_drain(&self, generation: u64, second: u64) {
        let source = u128::from_be_bytes(self.source.0);
        let at = word::drain(generation);
        self.store(at, (source >> 64) as u64);
        self.store(at + 1, source as u64);
        self.store(at + 2, second);
        self.store(word::DRAINED, generation);
    }

    /// The receipt for what was drained last.
    pub fn receipt(&self) -> Receipt {
        let region = Arc::clone(&self.region);
        Receipt(Some((region, self.load(word::DRAINED))))
    }

    /// Running totals as of the drain of `generation`, if they were noted.
    pub fn totals(&self, generation: u64) -> Option<[u64; TOTALS]> {
        let at = word::drain(generation) + 3;
        let noted = self.load(at) == generation && generation != 0;
        noted.then(|| std::array::from_fn(|index| self.load(at + 1 + index)))
    }

    /// Notes running totals as of the drain of `generation`.
    pub fn set_totals(&self, generation: u64, totals: &[u64; TOTALS]) {
        let at = word::drain(generation) + 3;
        for (index, total) in totals.iter().enumerate() {
            self.store(at + 1 + index, *total);
        }
        self.store(at, generation);
    }

    /// Whether any record fits.
    pub fn has_room(&self) -> bool {
        self.records[self.load(word::RECORDED) as usize & 1].has_room(MAX_RECORD)
    }

    /// Generation of the records that arrive now.
    pub fn recorded(&self) -> u64 {
        self.load(word::RECORDED)
    }

    /// Keeps a record until its segments are spooled. One that does not fit is counted.
    pub fn keep_record(&mut self, record: &[u8]) {
        let recorded = self.load(word::RECORDED);
        if !self.records[recorded as usize & 1].append(&[record]) {
            let index = word::dropped(recorded);
            self.store(index, self.load(index).saturating_add(1));
        }
    }

    /// The records from now on are of the generation after `generation`, unless that was said before.
    pub fn end_records(&mut self, generation: u64) {
        if self.load(word::RECORDED) == generation {
            self.records[(generation + 1) as usize & 1].clear();
            self.store(word::dropped(generation + 1), 0);
            self.store(word::RECORDED, generation + 1);
        }
    }

    /// Number of records of `generation` that did not fit: if the run that read them is killed before their
    /// segments are spooled, nobody has them.
    pub fn dropped_records(&self, generation: u64) -> u64 {
        let recorded = self.load(word::RECORDED);
        let is_noted = generation == recorded || generation.checked_add(1) == Some(recorded);
        match is_noted {
            true => self.load(word::dropped(generation)),
            false => 0,
        }
    }

    /// The texts, which the reader of paths keeps.
    pub fn texts(&self) -> Texts {
        let log = |number: usize| {
            let start = 2 * RECORD_BYTES + number * TEXT_BYTES;
            Log::new(
                Arc::clone(&self.region),
                word::USED + 2 + number,
                start,
                TEXT_BYTES,
            )
        };
        Texts::new(Arc::clone(&self.region), word::TEXTS, [log(0), log(1)])
    }
}

/// Says that what was drained is spooled. Without effect if the source has no journal.
#[derive(Debug, Default)]
pub struct Receipt(Option<(Arc<Region>, u64)>);

impl Receipt {
    /// Notes it.
    pub fn give(self) {
        if let Some((region, generation)) = self.0 {
            region.word(word::SPOOLED).fetch_max(generation, AcqRel);
        }
    }
}

#[cfg(test)]
mod tests;
