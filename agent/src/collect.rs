//! The loop: polls the source, and just after each second of the clock drains it,
//! closes the second, and puts its segments into the spool.
//!
//! It runs in a thread of its own and waits for nobody but the disk; sending and
//! Docker's answers are others' business.

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::SourceId;
use bubble_common::segment::loss::{Loss, Reason};

use crate::clock::{Clock, SECOND, Step};
use crate::container::Containers;
use crate::live::Live;
use crate::report::{self, Shared};
use crate::send::Queue;
use crate::sink::Sink as _;
use crate::source::{Host, Source as _};
use crate::spool::Stored;
use crate::window::Window;

/// Records of the kernel are taken in at most so often, and at least so often.
const REST: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_millis(200);
/// Seconds between two looks through the cgroups, for what events did not tell.
const LOOK: u64 = 10;
/// Seconds after which a batch is sent though nothing happened: the agent is alive.
const HEARTBEAT: u64 = 5;

/// What the loop works with.
pub struct Collect {
    /// Which containers there are.
    pub containers: Containers,
    /// Where the numbers come from.
    pub source: Live,
    /// Where the segments go.
    pub queue: Arc<Queue>,
    /// What is said of the agent itself: what does not change.
    pub report: AgentReport,
    /// The newest report, for the agent's own metrics.
    pub shared: Shared,
}

impl Collect {
    /// Counts until `stop` is set; then closes what is open.
    ///
    /// # Errors
    /// When the source cannot go on.
    pub fn run(mut self, stop: &AtomicBool) -> Result<()> {
        let mut clock = Clock::new();
        let mut window = Window::new(SourceId(rand::random()), clock.now() / SECOND);
        self.containers.look(clock.now(), &mut window);
        let mut posted = 0;
        let mut disk_refuses = false;
        // The second that is being counted.
        let mut second = clock.now() / SECOND;
        loop {
            let end = (second + 1) * SECOND;
            while clock.now() < end && !stop.load(Ordering::Relaxed) {
                self.poll(&clock, end, &mut window);
            }
            let stopping = stop.load(Ordering::Relaxed);
            let at = if stopping {
                clock.now().min(end - 1)
            } else {
                end - 1
            };
            self.drain(at, second, &clock, &mut window)?;
            if stopping {
                window.close_all();
            } else {
                window.advance(end);
            }
            let segments = window.take_closed();
            if !segments.is_empty() || second >= posted + HEARTBEAT || stopping {
                posted = second;
                self.spool(window.source(), clock.now(), segments, &mut disk_refuses);
            }
            if stopping {
                return Ok(());
            }
            if let Step::Back(by) = clock.follow() {
                tracing::warn!(
                    seconds = by / SECOND,
                    "the clock was set back: a new source begins"
                );
                window.restart(SourceId(rand::random()), clock.now() / SECOND);
            }
            let now = clock.now() / SECOND;
            if now > second + 1 {
                // What happened meanwhile is in the sums of the second to come.
                let count = now - second - 1;
                tracing::debug!(count, "too late: seconds are counted as one");
                window.loss(clock.now(), None, Reason::LATE, Loss { count, bytes: 0 });
            }
            second = now;
        }
    }

    /// Waits for records of the kernel, not beyond `end`, and takes them in.
    fn poll(&mut self, clock: &Clock, end: u64, window: &mut Window) {
        std::thread::sleep(REST);
        let left = Duration::from_nanos(end.saturating_sub(clock.now()));
        wait(self.source.wake(), left.min(PATIENCE));
        let mut host = Host {
            clock,
            containers: &mut self.containers,
        };
        self.source.poll(&mut host, window);
        self.containers.poll(clock.now().min(end - 1), window);
    }

    /// Charges all sums to `at`, in the `second` that has ended.
    fn drain(&mut self, at: u64, second: u64, clock: &Clock, window: &mut Window) -> Result<()> {
        if second.is_multiple_of(LOOK) {
            self.containers.look(at, window);
        }
        let mut host = Host {
            clock,
            containers: &mut self.containers,
        };
        self.source
            .drain(at, &mut host, window)
            .context("counting cannot go on")?;
        self.containers.read_totals(at, window);
        self.containers.poll(at, window);
        Ok(())
    }

    /// Puts a batch into the spool, and says so to the sender.
    fn spool(
        &mut self,
        source: SourceId,
        now: u64,
        segments: Vec<bubble_common::segment::Segment>,
        disk_refuses: &mut bool,
    ) {
        let (spooled, dropped) = self.queue.with(|spool| (spool.segments(), spool.dropped()));
        let count = segments.len() as u32;
        self.report.sent_at = now;
        self.report.cpu_ns = report::cpu_ns();
        self.report.rss = report::rss();
        self.report.kernel_ns = self.source.kernel_ns();
        self.report.spooled = spooled;
        self.report.dropped = dropped;
        self.shared.set(&self.report, self.containers.count());
        // A backlog says that the agent is alive by itself.
        if count == 0 && spooled > 0 {
            return;
        }
        let batch = Batch {
            source,
            agent: self.report.clone(),
            segments,
        };
        let stored = self.queue.with(|spool| spool.append(batch.encode(), count));
        match stored {
            Stored::Disk if *disk_refuses => {
                tracing::info!("the spool can be written again");
                *disk_refuses = false;
            }
            Stored::Disk => {}
            Stored::Memory(error) if !*disk_refuses => {
                tracing::error!(
                    "the spool cannot be written, so what waits is kept in memory and lost if the agent ends: {error}"
                );
                *disk_refuses = true;
            }
            Stored::Memory(_) => {}
        }
        self.queue.announce();
    }
}

/// Waits until `descriptor` is readable, but no longer than `most`.
fn wait(descriptor: Option<BorrowedFd<'_>>, most: Duration) {
    let Some(descriptor) = descriptor else {
        std::thread::sleep(most);
        return;
    };
    let mut poll = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: `poll` is one valid entry; an interruption only ends the wait early.
    unsafe { libc::poll(&raw mut poll, 1, most.as_millis().min(1_000) as libc::c_int) };
}
