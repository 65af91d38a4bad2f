//! CPU of a container's latest minutes, for the small chart in a list.

/// CPU time in the latest [`Recent::BUCKETS`] buckets of [`Recent::BUCKET`] seconds.
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
    /// Seconds that were measured.
    covered: u8,
}

impl Recent {
    /// Length of a bucket in seconds.
    pub const BUCKET: u64 = 10;
    /// Buckets at most.
    pub const BUCKETS: usize = 60;

    /// Adds the CPU time of one slot. Ignores slots longer than a bucket, and slots
    /// before the oldest bucket.
    pub(super) fn add(&mut self, start: u64, seconds: u64, ns: u64) {
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

    /// Cores used by bucket, oldest first; `None` where nothing was measured.
    pub fn cores(&self) -> Vec<Option<f64>> {
        self.buckets.iter().map(Bucket::cores).collect()
    }

    /// Cores used in the newest bucket, or in the one before while the newest covers less than 3 s.
    pub fn now(&self) -> Option<f64> {
        let mut newest = self.buckets.iter().rev();
        let last = newest.next()?;
        match newest.next() {
            Some(before) if last.covered < 3 => before.cores().or(last.cores()),
            _ => last.cores(),
        }
    }

    /// CPU time by bucket: (start, measured seconds, ns). Adding these to an empty value gives this one.
    pub fn slots(&self) -> Vec<(u64, u64, u64)> {
        let back = |index: usize| (self.buckets.len() - 1 - index) as u64 * Self::BUCKET;
        let slots = self.buckets.iter().enumerate().map(|(index, bucket)| {
            let ns = u64::from(bucket.cpu_us) * 1_000;
            (self.last - back(index), bucket.covered.into(), ns)
        });
        slots.filter(|slot| slot.1 > 0).collect()
    }

    /// Encodes it for a column: start of the last bucket, then (µs, seconds) of each, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.buckets.len() * 5);
        bytes.extend(self.last.to_le_bytes());
        for bucket in &self.buckets {
            bytes.extend(bucket.cpu_us.to_le_bytes());
            bytes.push(bucket.covered);
        }
        bytes
    }

    /// Decodes [`Self::to_bytes`]; ignores incomplete and surplus buckets.
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
