//! The loop: polls the source, and just after each second of the clock drains it,
//! closes the second, and hands its segments over to be stored.
//!
//! It runs in a thread of its own and waits for nobody: not for the disk, nor for
//! the server, nor for Docker's answers.

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::{Segment, SourceId};

use crate::clock::{Clock, SECOND, Step};
use crate::container::Containers;
use crate::live::Live;
use crate::sink::Sink as _;
use crate::source::{Host, Source as _};
use crate::window::Window;

/// Records of the kernel are taken in at most so often, and at least so often.
const REST: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_millis(200);
/// Seconds between two looks through the cgroups, for what events did not tell.
const LOOK: u64 = 10;
/// Seconds after which a batch is sent though nothing happened: the agent is alive.
const HEARTBEAT: u64 = 5;
/// Most segments that wait for a disk that does not keep up.
const LATE_MAX: usize = 20_000;

/// What the loop works with.
pub struct Collect {
    /// Which containers there are.
    pub containers: Containers,
    /// Where the numbers come from.
    pub source: Live,
    /// Where the segments go.
    pub out: SyncSender<Closed>,
    /// Segments that the disk was too slow for.
    pub late: Vec<Segment>,
}

/// What came to its end with a second.
#[derive(Debug)]
pub struct Closed {
    /// Whose the segments are.
    pub source: SourceId,
    /// Now: ns since the Unix epoch.
    pub at: u64,
    /// The segments.
    pub segments: Vec<Segment>,
    /// How many containers run.
    pub containers: usize,
    /// Time that the programs in the kernel ran, ns.
    pub kernel_ns: u64,
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
        // From here on what the cgroups count is counted.
        self.containers.read_totals(clock.now(), &mut window);
        let mut posted = 0;
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
            if window.has_closed() || second >= posted + HEARTBEAT || stopping {
                posted = second;
                self.hand_over(window.source(), clock.now(), &mut window)?;
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

    /// Hands the segments of a second over to be stored. While the disk does not keep up
    /// they wait here, and beyond a bound the oldest are dropped, which is said.
    fn hand_over(&mut self, source: SourceId, now: u64, window: &mut Window) -> Result<()> {
        self.late.extend(window.take_closed());
        if let Some(count) = self.late.len().checked_sub(LATE_MAX).filter(|n| *n > 0) {
            self.late.drain(..count);
            let loss = Loss {
                count: count as u64,
                bytes: 0,
            };
            window.loss(now, None, Reason::SPOOL_FULL, loss);
            tracing::warn!(count, "the disk is too slow: slots are dropped");
        }
        let closed = Closed {
            source,
            at: now,
            segments: std::mem::take(&mut self.late),
            containers: self.containers.count(),
            kernel_ns: self.source.kernel_ns(),
        };
        match self.out.try_send(closed) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(closed)) => {
                self.late = closed.segments;
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => {
                bail!("the thread that writes the spool has ended")
            }
        }
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
