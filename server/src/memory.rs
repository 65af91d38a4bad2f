//! The memory budget: what posts, queries and answers hold at the same time.
//!
//! The limit of the process is divided, so that neither posts nor queries keep the others waiting:
//!
//! | part | share | holds |
//! |---|---|---|
//! | [`Memory::bodies`] | 1/16 | bodies of posts that are still arriving |
//! | [`Memory::posts`] | 3/16 | complete posts, from decoding until they are stored |
//! | [`Memory::queries`] | 1/8 | queries within [`Memory::SMALL_QUERY`] |
//! | [`Memory::large_query`] | 1/4 | one query at a time that needs more |
//! | [`Memory::answers`] | 1/16 | answers until they are sent |
//! | [`Memory::events`] | 1/16 | events of live streams until they are sent |
//! | [`Memory::decoded`] | 1/16 | the cache of decoded rows |
//! | – | 3/16 | connections, the caches of the database, the program itself |
//!
//! Each part but the cache is a semaphore with a permit per KiB. Who gets none waits for a bounded time. Nobody
//! waits while holding a reservation in the same part, so none waits for another in a circle.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of a permit.
const UNIT: usize = 1 << 10;

/// Smallest limit that is used; with less, hardly any post or query would fit.
const MIN_LIMIT: usize = 64 << 20;

/// Why memory cannot be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Others hold it. A retry may help.
    #[error("not enough memory is free: try again later, or raise --memory-limit")]
    Busy,
    /// It is more than may ever be reserved.
    #[error(
        "this needs more than {limit} bytes of memory: ask for less at a time, or raise --memory-limit"
    )]
    TooLarge {
        /// What may be reserved, in bytes.
        limit: usize,
    },
}

/// The budget of the process.
#[derive(Debug, Clone)]
pub struct Memory {
    /// For bodies that are still arriving.
    pub bodies: Pool,
    /// For complete posts.
    pub posts: Pool,
    /// For small queries.
    pub queries: Pool,
    /// For one large query at a time.
    pub large_query: Pool,
    /// For answers.
    pub answers: Pool,
    /// For events of live streams.
    pub events: Pool,
    /// Bytes of the cache of decoded rows.
    pub decoded: usize,
}

/// A part of the budget.
#[derive(Debug, Clone)]
pub struct Pool {
    permits: Arc<Semaphore>,
    size: usize,
}

/// Reserved memory, given back on drop.
#[derive(Debug)]
pub struct Reservation {
    permit: OwnedSemaphorePermit,
}

impl Memory {
    /// Reserved for a query at first. Nearly all need less.
    pub const SMALL_QUERY: usize = 16 << 20;

    /// The limit is divided into so many parts. One of them is for bodies.
    pub const PARTS: usize = 16;

    /// The budget of a process that may use `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let part = limit.max(MIN_LIMIT) / Self::PARTS;
        Self {
            bodies: Pool::new(part),
            posts: Pool::new(part * 3),
            queries: Pool::new((part * 2).max(Self::SMALL_QUERY)),
            large_query: Pool::new((part * 4).max(Self::SMALL_QUERY)),
            answers: Pool::new(part),
            events: Pool::new(part),
            decoded: part,
        }
    }
}

impl Pool {
    fn new(size: usize) -> Self {
        // As many as one call can acquire, 4 TiB.
        let units = (size / UNIT).min(u32::MAX as usize);
        Self {
            permits: Arc::new(Semaphore::new(units)),
            size: units * UNIT,
        }
    }

    /// Bytes of the whole pool.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes that are reserved.
    pub fn reserved(&self) -> usize {
        self.size - self.permits.available_permits() * UNIT
    }

    /// Reserves `bytes`, and waits for them at most `patience`. Callers are served in their order.
    ///
    /// # Errors
    /// When they are more than the pool, or others hold them.
    pub async fn reserve(
        &self,
        bytes: usize,
        patience: Duration,
    ) -> Result<Reservation, MemoryError> {
        if bytes > self.size {
            return Err(MemoryError::TooLarge { limit: self.size });
        }
        let permits = Arc::clone(&self.permits).acquire_many_owned(units(bytes));
        match timeout(patience, permits).await {
            Ok(Ok(permit)) => Ok(Reservation { permit }),
            _ => Err(MemoryError::Busy),
        }
    }

    /// Reserves `bytes` if they are free.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub fn try_reserve(&self, bytes: usize) -> Result<Reservation, MemoryError> {
        if bytes > self.size {
            return Err(MemoryError::TooLarge { limit: self.size });
        }
        let permit = Arc::clone(&self.permits).try_acquire_many_owned(units(bytes));
        permit
            .map(|permit| Reservation { permit })
            .map_err(|_| MemoryError::Busy)
    }
}

impl Reservation {
    /// Bytes that are reserved.
    pub fn bytes(&self) -> usize {
        self.permit.num_permits() * UNIT
    }

    /// Gives back all beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self
            .permit
            .num_permits()
            .saturating_sub(units(bytes) as usize);
        drop(self.permit.split(surplus));
    }

    /// Adds another reservation of the same pool.
    pub fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }
}

/// Permits for `bytes`. They fit, as a pool has no more.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Memory that this process may use: the limit of its cgroup, else half of the machine's.
pub fn default_limit() -> usize {
    let machine = read_machine().unwrap_or(1 << 30);
    let limit = cgroup_limit().filter(|limit| *limit < machine);
    limit.unwrap_or(machine / 2)
}

/// The machine's memory, from `/proc/meminfo`.
fn read_machine() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

/// The lowest limit of the cgroups that this process is in, of both versions. A container sees its
/// own cgroup as the root of the mount.
fn cgroup_limit() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut files = vec![
        "/sys/fs/cgroup/memory.max".to_owned(),
        "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned(),
    ];
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (mount, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // A limit of a parent counts, too.
        let parents = std::path::Path::new(path).ancestors();
        files.extend(parents.map(|path| format!("{mount}{}/{file}", path.display())));
    }
    let read = |file: &String| std::fs::read_to_string(file).ok()?.trim().parse().ok();
    files.iter().filter_map(read).min()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Memory, MemoryError, Pool};

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_pool_gives_what_it_has_and_gets_it_back() {
        let pool = Pool::new(100 << 10);
        let mut first = pool.reserve(60 << 10, SHORT).await.expect("free");
        assert_eq!(
            pool.reserve(60 << 10, SHORT).await.err(),
            Some(MemoryError::Busy)
        );
        first.shrink_to(10 << 10);
        assert_eq!((first.bytes(), pool.reserved()), (10 << 10, 10 << 10));
        let second = pool.try_reserve(90 << 10).expect("free");
        assert_eq!(pool.try_reserve(1).err(), Some(MemoryError::Busy));
        first.merge(second);
        drop(first);
        assert_eq!(pool.reserved(), 0);
        let limit = 100 << 10;
        let error = pool.reserve(limit + 1, SHORT).await.err();
        assert_eq!(error, Some(MemoryError::TooLarge { limit }));
    }

    #[test]
    fn the_parts_leave_three_sixteenths_of_the_limit() {
        for limit in [256 << 20, 1 << 30, 1 << 40] {
            let memory = Memory::new(limit);
            let parts = [
                memory.bodies,
                memory.posts,
                memory.queries,
                memory.large_query,
                memory.answers,
                memory.events,
            ];
            let sum = parts.iter().map(Pool::size).sum::<usize>() + memory.decoded;
            assert!(sum <= limit / 16 * 13, "{sum} of {limit}");
        }
    }
}
