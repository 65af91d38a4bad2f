//! The index of containers: what a list shows, without reading a segment.

use bubble_common::segment::{ContainerId, Facts, facts};
use serde::{Deserialize, Serialize};

use super::row::Activity;

/// What the index knows of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The container.
    pub id: ContainerId,
    /// What is known of it, the latest of each name.
    pub facts: Facts,
    /// Up to when the segments reach from which the facts are, seconds since the Unix epoch.
    pub facts_at: u64,
    /// Start of the first slot in which it was seen.
    pub first_seen: u64,
    /// End of the last slot in which it was seen, exclusive.
    pub last_seen: u64,
    /// When an agent first saw it live; [`Self::NEVER`] when all that is known
    /// of it is recorded. What is older than this cannot have expired.
    pub live_since: u64,
    /// Names of the recordings that it is in, oldest first, as of when this was read.
    pub recordings: Vec<String>,
    /// CPU time over its life, ns.
    pub cpu_ns: u64,
    /// Memory in use when it was last seen, bytes.
    pub memory_now: u64,
    /// Highest memory in use, bytes.
    pub memory_peak: u64,
    /// Memory limit, bytes; 0 when there is none.
    pub memory_limit: u64,
    /// Bytes read from files and received, over its life.
    pub bytes_in: u64,
    /// Bytes written to files and sent, over its life.
    pub bytes_out: u64,
    /// CPU of the latest minutes.
    pub recent: Recent,
}

/// CPU time in buckets of [`Recent::BUCKET`] seconds, the latest [`Recent::BUCKETS`] of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recent {
    /// Start of the last bucket, seconds since the Unix epoch.
    last: u64,
    /// Newest last; at most [`Self::BUCKETS`].
    buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Bucket {
    /// CPU time in µs: 32 bits hold 4,294 s, more than 400 cores for 10 s.
    cpu_us: u32,
    /// Seconds that are known.
    covered: u8,
}

impl Recent {
    /// Length of a bucket in seconds.
    pub const BUCKET: u64 = 10;
    /// How many are kept.
    pub const BUCKETS: usize = 60;

    /// Adds what happened in one slot. Slots longer than a bucket, and such
    /// as are older than what is kept, are left out.
    fn add(&mut self, start: u64, seconds: u64, ns: u64) {
        if seconds > Self::BUCKET {
            return;
        }
        let bucket = start - start % Self::BUCKET;
        if self.buckets.is_empty() {
            self.last = bucket;
            self.buckets.push(Bucket::default());
        }
        if bucket > self.last {
            let new = ((bucket - self.last) / Self::BUCKET).min(Self::BUCKETS as u64);
            self.buckets.extend((0..new).map(|_| Bucket::default()));
            let surplus = self.buckets.len().saturating_sub(Self::BUCKETS);
            self.buckets.drain(..surplus);
            self.last = bucket;
        }
        let back = ((self.last - bucket) / Self::BUCKET) as usize;
        while back >= self.buckets.len() && back < Self::BUCKETS {
            self.buckets.insert(0, Bucket::default());
        }
        let Some(index) = self.buckets.len().checked_sub(back + 1) else {
            return;
        };
        let bucket = &mut self.buckets[index];
        let us = u32::try_from(ns / 1_000).unwrap_or(u32::MAX);
        bucket.cpu_us = bucket.cpu_us.saturating_add(us);
        bucket.covered = bucket
            .covered
            .saturating_add(seconds as u8)
            .min(Self::BUCKET as u8);
    }

    /// Cores used by bucket, oldest first; none where nothing is known.
    pub fn cores(&self) -> Vec<Option<f64>> {
        self.buckets.iter().map(Bucket::cores).collect()
    }

    /// Cores used lately: in the newest bucket, or in the one before it while the newest is young.
    pub fn now(&self) -> Option<f64> {
        let mut newest = self.buckets.iter().rev();
        let last = newest.next()?;
        match newest.next() {
            Some(before) if last.covered < 3 => before.cores().or(last.cores()),
            _ => last.cores(),
        }
    }

    /// CPU time by bucket, as slots that make the same when they are added: (start, seconds that are known, ns).
    pub fn slots(&self) -> Vec<(u64, u64, u64)> {
        let back = |index: usize| (self.buckets.len() - 1 - index) as u64 * Self::BUCKET;
        let slots = self.buckets.iter().enumerate().map(|(index, bucket)| {
            let ns = u64::from(bucket.cpu_us) * 1_000;
            (self.last - back(index), bucket.covered.into(), ns)
        });
        slots.filter(|slot| slot.1 > 0).collect()
    }

    /// As bytes, for a column: start of the last bucket, then (µs, seconds) of each, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.buckets.len() * 5);
        bytes.extend(self.last.to_le_bytes());
        for bucket in &self.buckets {
            bytes.extend(bucket.cpu_us.to_le_bytes());
            bytes.push(bucket.covered);
        }
        bytes
    }

    /// The reverse of [`Self::to_bytes`]; what does not fit is left out.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some((last, buckets)) = bytes.split_first_chunk::<8>() else {
            return Self::default();
        };
        let buckets = buckets.as_chunks::<5>().0.iter().map(|b| Bucket {
            cpu_us: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            covered: b[4],
        });
        Self {
            last: u64::from_le_bytes(*last),
            buckets: buckets.take(Self::BUCKETS).collect(),
        }
    }
}

impl Bucket {
    fn cores(&self) -> Option<f64> {
        (self.covered > 0).then(|| f64::from(self.cpu_us) / 1e6 / f64::from(self.covered))
    }
}

impl Container {
    /// A time that never comes.
    pub const NEVER: u64 = u64::MAX;

    /// A container of which nothing is known yet.
    pub fn new(id: ContainerId) -> Self {
        Self {
            id,
            facts: Facts::new(),
            facts_at: 0,
            first_seen: u64::MAX,
            last_seen: 0,
            live_since: Self::NEVER,
            recordings: Vec::new(),
            cpu_ns: 0,
            memory_now: 0,
            memory_peak: 0,
            memory_limit: 0,
            bytes_in: 0,
            bytes_out: 0,
            recent: Recent::default(),
        }
    }

    /// Takes in what a segment that was new adds, live or `recorded`. Returns whether the facts changed.
    pub fn absorb(&mut self, activity: &Activity, recorded: bool) -> bool {
        if !recorded {
            self.live_since = self.live_since.min(activity.first);
        }
        if activity.last >= self.last_seen {
            self.memory_now = activity.memory_now.unwrap_or(self.memory_now);
            self.memory_limit = activity.memory_limit.unwrap_or(self.memory_limit);
        }
        if activity.last > activity.first {
            self.first_seen = self.first_seen.min(activity.first);
            self.last_seen = self.last_seen.max(activity.last);
        }
        self.cpu_ns = self.cpu_ns.saturating_add(activity.cpu_ns);
        self.bytes_in = self.bytes_in.saturating_add(activity.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(activity.bytes_out);
        self.memory_peak = self.memory_peak.max(activity.memory_peak.unwrap_or(0));
        for (start, seconds, ns) in &activity.cpu {
            self.recent.add(*start, *seconds, *ns);
        }
        self.learn(&activity.facts, activity.last)
    }

    /// Of two facts the later one counts; an earlier segment only fills in what is not known.
    fn learn(&mut self, facts: &Facts, at: u64) -> bool {
        let newer = at >= self.facts_at;
        let mut changed = false;
        for (name, value) in facts {
            let known = self.facts.get(name);
            if known.is_none() || (newer && known != Some(value)) {
                self.facts.insert(name.clone(), value.clone());
                changed = true;
            }
        }
        self.facts_at = self.facts_at.max(at);
        // A container that was started again is not over.
        if changed && self.started() > self.ended().map(|ended| ended.saturating_sub(1)) {
            for name in [facts::ENDED, facts::EXIT_CODE, facts::OOM_KILLED] {
                self.facts.remove(name);
            }
        }
        changed
    }

    /// When it was started: ns since the Unix epoch.
    pub fn started(&self) -> Option<u64> {
        self.number(facts::STARTED)
    }

    /// When it ended: ns since the Unix epoch; none while it runs.
    pub fn ended(&self) -> Option<u64> {
        self.number(facts::ENDED)
    }

    /// A fact that is a number.
    pub fn number(&self, fact: &str) -> Option<u64> {
        self.facts.get(fact)?.parse().ok()
    }

    /// Whether it runs, as far as is known at `now` (seconds since the Unix epoch).
    pub fn state(&self, now: u64) -> State {
        if self.ended().is_some() {
            State::Ended
        } else if self.last_seen + State::SILENT_AFTER >= now {
            State::Running
        } else if self.live_since == Self::NEVER {
            State::Ended
        } else {
            State::Silent
        }
    }
}

/// Whether a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs.
    Running,
    /// It has ended, or the recording of it has.
    Ended,
    /// Nobody said that it ended, but nothing was heard of it for a while:
    /// its host, its agent or the network is down.
    Silent,
}

impl State {
    /// After how many seconds without news a container counts as silent.
    pub const SILENT_AFTER: u64 = 60;
}

/// By what a list of containers is sorted; the greatest first but for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// When it was last seen.
    #[default]
    Activity,
    /// Its name, its id where it has none.
    Name,
    /// CPU time over its life.
    Cpu,
    /// Highest memory in use.
    Memory,
    /// Bytes in and out over its life.
    Bytes,
}

/// Which containers, and in what order.
#[derive(Debug, Clone, Default)]
pub struct ContainerFilter {
    /// Part of the id, name, image, host, a label or the name of a recording; without regard to case.
    pub search: Option<String>,
    /// Name of the host.
    pub host: Option<String>,
    /// Its state at `now`.
    pub state: Option<State>,
    /// Seconds since the Unix epoch.
    pub now: u64,
    /// The order; ties by id.
    pub sort: Sort,
    /// At most how many.
    pub limit: usize,
    /// How many to leave out first.
    pub offset: usize,
}

/// A page of a list of containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPage {
    /// The containers of this page.
    pub containers: Vec<Container>,
    /// How many there are on all pages.
    pub total: u64,
}
