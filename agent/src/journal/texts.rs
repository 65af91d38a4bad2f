//! The texts of a journal, by the kernel's numbers.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::log::Log;
use super::region::Region;

/// A number with its kind and text.
pub(super) type Text = (u64, u8, Vec<u8>);

/// Paths and names in use.
#[derive(Debug)]
pub struct Texts {
    region: Arc<Region>,
    /// Index of the number that says which log is in use: 0 or 1.
    active: usize,
    logs: [Log; 2],
}

impl Texts {
    pub(super) fn new(region: Arc<Region>, active: usize, logs: [Log; 2]) -> Self {
        Self {
            region,
            active,
            logs,
        }
    }

    fn active(&self) -> usize {
        self.region.word(self.active).load(Acquire) as usize & 1
    }

    /// Keeps a text. Returns false if there is no room.
    pub fn keep(&mut self, number: u64, kind: u8, text: &[u8]) -> bool {
        let active = self.active();
        self.logs[active].append(&[&number.to_ne_bytes(), &[kind], text])
    }

    /// Replaces all texts by these. Returns false if they do not all fit.
    pub fn replace<'a>(&mut self, texts: impl Iterator<Item = (u64, u8, &'a [u8])>) -> bool {
        let other = 1 - self.active();
        let log = &mut self.logs[other];
        log.clear();
        let mut fit = true;
        for (number, kind, text) in texts {
            fit = log.append(&[&number.to_ne_bytes(), &[kind], text]) && fit;
        }
        self.region.word(self.active).store(other as u64, Release);
        fit
    }

    /// All texts, in the order in which they were kept.
    pub fn all(&self) -> impl Iterator<Item = Text> {
        let entries = self.logs[self.active()].entries();
        entries.into_iter().filter_map(|entry| {
            let (number, rest) = entry.split_first_chunk()?;
            let (kind, text) = rest.split_first()?;
            Some((u64::from_ne_bytes(*number), *kind, text.to_vec()))
        })
    }
}
