//! Answers in the shapes of the Python system: points in time of each process.
//!
//! Like there, a process id has one row, which adds up the programs that the process ran, and an
//! answer goes back as far as that system kept the resolution. `job_N` is all steps of a Slurm job.

mod finest;
mod points;
mod whole_life;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bubble_common::segment::{ContainerId, Resolution, Segment};
pub use points::ByProcess;
use points::Points;
use serde::Serialize;

pub use self::whole_life::{FileRow, ProcessEntry};
use super::bound::{Attempt, Bound};
use super::error::QueryError;
use super::{Query, read};
use crate::clock;
use crate::span::id::whole_job;
use crate::span::retention::Retention;
use crate::store::container::Container;
use crate::store::index::{ContainerFilter, Sort};

/// Steps of a Slurm job in an answer at most.
const MAX_STEPS: usize = 1_000;

/// The slots of the points: those of a resolution, or several of its slots in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    resolution: Resolution,
    /// Length of a slot.
    seconds: u64,
}

impl Slots {
    /// Slots of this many seconds, at least 1, made of seconds.
    pub fn of_seconds(seconds: u64) -> Self {
        Self {
            resolution: Resolution::Second,
            seconds: seconds.max(1),
        }
    }

    /// The slots of a resolution.
    pub fn of(resolution: Resolution) -> Self {
        Self {
            resolution,
            seconds: resolution.seconds(),
        }
    }
}

/// CPU time of a process in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CpuPoint {
    /// Start of the slot, seconds since the Unix epoch.
    pub ts: f64,
    /// Process id on the host.
    pub proc_name: u32,
    /// CPU time, ns.
    pub duration: u64,
    /// Number of the core, where the answer is by core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
}

/// Memory of a process in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MemoryPoint {
    /// Start of the slot, seconds since the Unix epoch.
    pub ts: f64,
    /// Process id on the host.
    pub proc_name: u32,
    /// Virtual size, KiB: the highest in the slot.
    pub vm_size: u64,
}

/// Bytes of a process in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct IoPoint {
    /// Start of the slot, seconds since the Unix epoch.
    pub ts: f64,
    /// Process id on the host.
    pub proc_name: u32,
    /// Bytes in and out, of files and connections.
    pub bytes: u64,
}

impl Query {
    /// CPU time by process and slot, of the `top` processes with most.
    ///
    /// # Errors
    /// When there is no such container, or the store fails.
    pub async fn legacy_cpu(
        &self,
        id: &ContainerId,
        slots: Slots,
        top: usize,
    ) -> Result<ByProcess<CpuPoint>, QueryError> {
        let sums = self
            .points(id, slots, |segment, points| {
                points.add(
                    segment,
                    &segment.cpu,
                    |_| 0,
                    |cpu| cpu.ns,
                    u64::saturating_add,
                );
            })
            .await?;
        let point = |proc_name, (_, ts): (u32, u64), duration| CpuPoint {
            ts: ts as f64,
            proc_name,
            duration,
            cpu: None,
        };
        Ok(sums.top(top, point))
    }

    /// CPU time of one process by slot and core.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_cores(
        &self,
        id: &ContainerId,
        process: u32,
        slots: Slots,
    ) -> Result<ByProcess<CpuPoint>, QueryError> {
        let mut sums = self
            .points(id, slots, |segment, points| {
                points.add(
                    segment,
                    &segment.cpu,
                    |core| core,
                    |cpu| cpu.ns,
                    u64::saturating_add,
                );
            })
            .await?;
        sums.values.retain(|pid, _| *pid == process);
        let point = |proc_name, (core, ts): (u32, u64), duration| CpuPoint {
            ts: ts as f64,
            proc_name,
            duration,
            cpu: Some(core),
        };
        Ok(sums.top(1, point))
    }

    /// Memory by process and slot, of the `top` processes with most.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_memory(
        &self,
        id: &ContainerId,
        slots: Slots,
        top: usize,
    ) -> Result<ByProcess<MemoryPoint>, QueryError> {
        let sums = self
            .points(id, slots, |segment, points| {
                points.add(
                    segment,
                    &segment.memory,
                    |_| 0,
                    |memory| memory.vm,
                    u64::max,
                );
            })
            .await?;
        let point = |proc_name, (_, ts): (u32, u64), vm| MemoryPoint {
            ts: ts as f64,
            proc_name,
            vm_size: vm / 1_024,
        };
        Ok(sums.top(top, point))
    }

    /// Bytes by process and slot, of the `top` processes with most.
    ///
    /// # Errors
    /// As for [`Self::legacy_cpu`].
    pub async fn legacy_io(
        &self,
        id: &ContainerId,
        slots: Slots,
        top: usize,
    ) -> Result<ByProcess<IoPoint>, QueryError> {
        let sums = self
            .points(id, slots, |segment, points| {
                let sum = u64::saturating_add;
                let bytes = |bytes_in: u64, bytes_out| bytes_in.saturating_add(bytes_out);
                points.add(
                    segment,
                    &segment.file_io,
                    |_| 0,
                    |io| bytes(io.bytes_in, io.bytes_out),
                    sum,
                );
                points.add(
                    segment,
                    &segment.network_io,
                    |_| 0,
                    |io| bytes(io.bytes_in, io.bytes_out),
                    sum,
                );
            })
            .await?;
        let point = |proc_name, (_, ts): (u32, u64), bytes| IoPoint {
            ts: ts as f64,
            proc_name,
            bytes,
        };
        Ok(sums.top(top, point))
    }

    /// The container; if it is a whole Slurm job that is stored by step, its steps.
    ///
    /// # Errors
    /// When there is neither, or the store fails.
    pub async fn parts_of(&self, id: &ContainerId) -> Result<Vec<Container>, QueryError> {
        let job = match self.container(id).await {
            Ok(container) => return Ok(vec![container]),
            Err(error @ QueryError::NoContainer(_)) => match whole_job(id) {
                Some(job) => job,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let filter = ContainerFilter {
            // In the id, or in the name that the agent gives to a step with a sortable id.
            search: Some(format!("slurm-{job}.")),
            now: clock::now(),
            sort: Sort::Name,
            limit: MAX_STEPS,
            ..ContainerFilter::default()
        };
        // The search looks at labels too, which anybody may write.
        let mut steps = self.store.containers(&filter).await?.containers;
        steps.retain(|step| step.job() == Some(job));
        match steps.is_empty() {
            true => Err(QueryError::NoContainer(id.as_str().to_owned())),
            false => Ok(steps),
        }
    }

    /// Adds up the segments of a resolution, as far back as the Python system kept them.
    async fn points(
        &self,
        id: &ContainerId,
        slots: Slots,
        add: impl Fn(&Segment, &mut Points) + Send + Clone + 'static,
    ) -> Result<Points, QueryError> {
        let parts = self.parts_of(id).await?;
        let mut attempt = Attempt::first(&self.memory, &self.decoded).await?;
        loop {
            let done = self
                .points_of(&parts, slots, add.clone(), attempt.bound())
                .await;
            match attempt.settle(done).await? {
                ControlFlow::Break((points, _)) => return Ok(points),
                ControlFlow::Continue(next) => attempt = next,
            }
        }
    }

    async fn points_of(
        &self,
        parts: &[Container],
        slots: Slots,
        add: impl Fn(&Segment, &mut Points) + Send + Clone + 'static,
        bound: Arc<Bound>,
    ) -> Result<Points, QueryError> {
        let mut points = Points::new(slots.seconds);
        for part in parts {
            let (span, resolution) = (span(part, slots), slots.resolution);
            let (range, bound) = (span.clone(), Arc::clone(&bound));
            let gathered =
                read::gather_within(&*self.store, &part.id, resolution, range, bound).await?;
            let add = add.clone();
            points = tokio::task::spawn_blocking(move || {
                let mut of_part = Points::new(slots.seconds);
                for segment in gathered.resolve()? {
                    add(&segment, &mut of_part);
                }
                of_part.retain(&span);
                points.merge(of_part);
                Ok::<_, QueryError>(points)
            })
            .await
            .map_err(|_| QueryError::Panicked)??;
        }
        Ok(points)
    }

    /// Passes the segments of the whole life of a container to `add`, which gets a new `T` for each
    /// attempt.
    async fn whole_life<T: Default>(
        &self,
        id: &ContainerId,
        add: impl Fn(&mut T, &Segment),
    ) -> Result<T, QueryError> {
        let parts = self.parts_of(id).await?;
        let mut attempt = Attempt::first(&self.memory, &self.decoded).await?;
        loop {
            let done = self.whole_life_of(&parts, &add, attempt.bound()).await;
            match attempt.settle(done).await? {
                ControlFlow::Break((sums, _)) => return Ok(sums),
                ControlFlow::Continue(next) => attempt = next,
            }
        }
    }

    async fn whole_life_of<T: Default>(
        &self,
        parts: &[Container],
        add: impl Fn(&mut T, &Segment),
        bound: Arc<Bound>,
    ) -> Result<T, QueryError> {
        let mut sums = T::default();
        for part in parts {
            for segment in finest::read(&*self.store, part, &bound).await? {
                add(&mut sums, &segment);
            }
        }
        Ok(sums)
    }
}

/// The span that the Python system kept of a resolution, up to when the container was last seen.
fn span(container: &Container, slots: Slots) -> Range<u64> {
    let end = container.last_seen.max(1);
    let start = match Retention::default().of(slots.resolution) {
        Some(retained) => end.saturating_sub(retained),
        None => container.first_seen,
    };
    let start = start.min(end - 1);
    start - start % slots.seconds..end
}
