//! Which faults happen when: from a seed.
//!
//! Faults come in spells. During a spell one kind of fault is likely, and then rare or absent, so that
//! runs get both into trouble and out of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The disk has no space: a write ends in its middle.
    NoSpace,
    /// An operation of the disk fails.
    DiskError,
    /// No descriptor is left to open a file with.
    NoDescriptors,
    /// The agent is killed between two operations of the disk, or within a write.
    KillAgent,
    /// The agent's host loses its power, and its disk what was not synced.
    PowerFailure,
    /// A connection is cut before the server has read a post.
    LostPost,
    /// A connection is cut when the server has stored a post.
    LostAnswer,
    /// The server gets a post twice.
    Twice,
    /// The server is slow to read a post, and its answer never comes. The repetition may come before it.
    Late,
    /// Something else answers.
    ForeignAnswer,
    /// The server takes only small bodies.
    TooLarge,
    /// The two hosts do not reach each other.
    Partition,
    /// A transaction of the server fails.
    FailedWrite,
    /// The server is killed before or after a commit.
    KillServer,
    /// The time of day of the agent's host is set.
    AgentClock,
    /// The time of day of the server is set.
    ServerClock,
}

impl Fault {
    const ALL: [Self; 16] = [
        Self::NoSpace,
        Self::DiskError,
        Self::NoDescriptors,
        Self::KillAgent,
        Self::PowerFailure,
        Self::LostPost,
        Self::LostAnswer,
        Self::Twice,
        Self::Late,
        Self::ForeignAnswer,
        Self::TooLarge,
        Self::Partition,
        Self::FailedWrite,
        Self::KillServer,
        Self::AgentClock,
        Self::ServerClock,
    ];
}

/// How often each fault happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(BTreeMap<Fault, u64>);

impl Counts {
    /// Adds those of another run.
    pub(crate) fn add(&mut self, other: &Self) {
        for (fault, count) in &other.0 {
            *self.0.entry(*fault).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.0.values().sum();
        write!(formatter, "{all} faults:")?;
        for (fault, count) in &self.0 {
            write!(formatter, " {fault:?} {count}")?;
        }
        Ok(())
    }
}

/// Decides at each step whether a fault happens.
#[derive(Debug)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug)]
struct State {
    random: StdRng,
    /// Probability of a fault at one step.
    rates: BTreeMap<Fault, f64>,
    /// Kinds that happen in this run at all.
    kinds: Vec<Fault>,
    counts: Counts,
    verbose: bool,
}

impl Faults {
    /// Those of a seed.
    pub(crate) fn new(seed: u64, verbose: bool) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let share = random.random_range(0.1..0.9);
        let kinds = Fault::ALL.into_iter();
        let kinds = kinds.filter(|_| random.random_bool(share)).collect();
        Self(Mutex::new(State {
            random,
            rates: BTreeMap::new(),
            kinds,
            counts: Counts::default(),
            verbose,
        }))
    }

    /// Begins and ends spells.
    pub(crate) fn change_spells(&self) {
        let mut state = self.lock();
        state.rates.clear();
        for kind in state.kinds.clone() {
            if state.random.random_bool(0.4) {
                let rate = [0.02, 0.1, 0.3, 0.9][state.random.random_range(0..4)];
                state.rates.insert(kind, rate);
            }
        }
    }

    /// Ends all faults.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.rates.clear();
        state.kinds.clear();
    }

    /// Whether a fault happens now, with its probability times `factor`.
    pub(crate) fn happens(&self, fault: Fault, factor: f64) -> bool {
        let mut state = self.lock();
        let Some(rate) = state.rates.get(&fault).copied() else {
            return false;
        };
        let happens = state.random.random_bool(rate * factor);
        if happens {
            *state.counts.0.entry(fault).or_default() += 1;
            if state.verbose {
                println!("    {fault:?}");
            }
        }
        happens
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.lock().random.random_range(0..end)
    }

    /// One of several values.
    pub(crate) fn one_of<T: Copy>(&self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Prints a step, if all are to be printed.
    pub(crate) fn say(&self, text: impl FnOnce() -> String) {
        if self.lock().verbose {
            println!("{}", text());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
