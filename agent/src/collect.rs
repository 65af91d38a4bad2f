//! The loop: polls the source, and just after each second drains it, closes the second and passes its
//! segments on.
//!
//! It runs in a thread of its own and never waits for the disk, the server or Docker.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bubble_common::segment::fold::Caps;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::{ContainerId, Segment, SourceId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::batcher::Closed;
use crate::clock::{Clock, SECOND};
use crate::container::Containers;
use crate::journal::Receipt;
use crate::live::Live;
use crate::sink::Sink as _;
use crate::source::{Host, Source as _};
use crate::step::next_second;
use crate::undelivered::{Undelivered, reported_losses};
use crate::window::Window;

/// Minimum and maximum delay between two reads of the kernel's records.
const MIN_POLL_DELAY: Duration = Duration::from_millis(10);
const MAX_POLL_DELAY: Duration = Duration::from_millis(200);
/// Seconds between two scans of the cgroups, which find what no event reported.
const SCAN_INTERVAL: u64 = 10;
/// Seconds after which an empty batch is sent: it says that the agent is alive.
const HEARTBEAT_INTERVAL: u64 = 5;
/// Delay of reading the kernel's sums after which a second contains too much of the next one.
const MAX_DRAIN_DELAY: Duration = Duration::from_millis(100);
/// Time that the next drain waits for the last one to be spooled, if the source can retain it.
const MAX_SPOOL_DELAY: Duration = Duration::from_secs(5);
/// Seconds without an agent in which ends are noted. Earlier ones are late.
const MAX_MISSED_SECONDS: u64 = 3_600;
/// Maximum number of segments that wait for a slow disk.
const MAX_LATE: usize = 20_000;

/// Priority of the counting thread: see setpriority(2), where -20 is the highest.
const PRIORITY: i32 = -10;

/// What the loop works with.
pub struct Collect {
    /// The containers of this host.
    pub containers: Containers,
    /// Where the numbers come from.
    pub source: Live,
    /// Where the segments go.
    pub out: SyncSender<Closed>,
    /// Segments that `out` had no room for.
    pub late: Vec<Segment>,
    /// What the spool or the server gave up.
    pub undelivered: Undelivered,
    /// How the loop begins and ends.
    pub extent: Extent,
}

/// How the loop begins and ends.
#[derive(Debug, Default)]
pub struct Extent {
    /// All that is counted begins and ends while the loop runs, so its first and last second are not
    /// observed in part.
    pub is_whole: bool,
    /// Gets a message when counting has begun.
    pub begun: Option<SyncSender<()>>,
    /// Maximum number of rows of a second, if not the usual one.
    pub caps: Option<Caps>,
}

impl Collect {
    /// Counts until `stop` is set; then closes the open seconds. Returns the source.
    ///
    /// # Errors
    /// When the source cannot go on.
    pub fn run(mut self, stop: &AtomicBool) -> Result<Live> {
        let mut clock = Clock::new();
        let mut window = self.begin(&clock)?;
        if let Some(caps) = self.extent.caps {
            window.set_caps(caps);
        }
        self.containers.scan(clock.now(), &mut window);
        // The first reading is the base: cgroups count since they exist.
        self.containers.read_totals(clock.now(), &mut window);
        let mut posted = 0;
        // The second that is being counted. It began before this run did.
        let mut second = clock.now() / SECOND;
        if !self.extent.is_whole {
            window.mark_partial(second);
        }
        if let Some(begun) = self.extent.begun.take() {
            // Nobody waits for it any more: `stop` is set.
            let _ = begun.send(());
        }
        self.mark_missed(second, &mut window);
        loop {
            let end = (second + 1) * SECOND;
            while clock.now() < end && !stop.load(Ordering::Relaxed) {
                self.poll(&clock, end, &mut window);
            }
            self.wait_for_spool(&clock, end, &mut window)?;
            let stopping = stop.load(Ordering::Relaxed);
            let at = if stopping {
                clock.now().min(end - 1)
            } else {
                end - 1
            };
            self.drain(at, second, &clock, &mut window)?;
            if stopping {
                if !self.extent.is_whole {
                    window.mark_partial(second);
                }
                window.close_all();
            } else {
                window.advance(end);
            }
            let has_closed = window.has_closed() || !self.late.is_empty();
            if has_closed || second >= posted + HEARTBEAT_INTERVAL || stopping {
                posted = second;
                self.pass_on(window.source(), clock.now(), &mut window)?;
                if stopping && !self.late.is_empty() {
                    self.pass_on_late(window.source(), clock.now())?;
                }
            } else {
                self.receipt().give();
            }
            if stopping {
                return Ok(self.source);
            }
            second = next_second(second, &mut clock, &mut window);
            if let Some(journal) = self.source.journal() {
                journal.set_source(window.source());
            }
        }
    }

    /// The window of this run. Passes on first what an earlier run drained and did not spool: for the
    /// same source and second, so that it counts once if it was spooled after all.
    fn begin(&mut self, clock: &Clock) -> Result<Window> {
        let source = SourceId(rand::random());
        let now = clock.now() / SECOND;
        let mut from = now;
        let mut unspooled = None;
        if let Some(journal) = self.source.journal() {
            journal.set_source(source);
            unspooled = journal.unspooled();
            // What ended since then is noted when it ended.
            from = journal.last_second().map_or(now, |last| last + 1);
            from = from.clamp(now.saturating_sub(MAX_MISSED_SECONDS), now);
        }
        let Some(unspooled) = unspooled else {
            return Ok(Window::new(source, from));
        };
        let mut window = Window::new(unspooled.source, unspooled.second);
        let at = (unspooled.second + 1) * SECOND - 1;
        self.containers.scan(at, &mut window);
        let mut host = Host {
            clock,
            containers: &mut self.containers,
        };
        self.source
            .drain_again(at, &mut host, &mut window)
            .context("cannot read what the last run has drained")?;
        window.restart(source, from);
        self.pass_on(unspooled.source, clock.now(), &mut window)?;
        Ok(window)
    }

    /// Says that the first second has the sums of those that no agent drained, and that they have none.
    fn mark_missed(&mut self, second: u64, window: &mut Window) {
        let last = self
            .source
            .journal()
            .and_then(|journal| journal.last_second());
        let count = last.map_or(0, |last| second.saturating_sub(last + 1));
        for missed in second.saturating_sub(count.min(MAX_MISSED_SECONDS))..second {
            window.mark_partial(missed);
        }
        if count > 0 {
            tracing::info!(
                seconds = count,
                "what the kernel counted without an agent is posted as one second"
            );
            window.loss(
                second * SECOND,
                None,
                Reason::LATE,
                Loss { count, bytes: 0 },
            );
        }
    }

    /// Waits until the last second is spooled, if the source can retain it. It goes on counting meanwhile.
    fn wait_for_spool(&mut self, clock: &Clock, end: u64, window: &mut Window) -> Result<()> {
        let deadline = Instant::now() + MAX_SPOOL_DELAY;
        while self
            .source
            .journal()
            .is_some_and(|journal| !journal.is_ready())
        {
            if Instant::now() > deadline {
                tracing::warn!(
                    "the disk is too slow: if the agent is killed now, seconds are lost"
                );
                return Ok(());
            }
            if !self.late.is_empty() {
                self.pass_on(window.source(), clock.now(), window)?;
            }
            self.poll(clock, end, window);
        }
        Ok(())
    }

    /// The receipt for what was drained last.
    fn receipt(&mut self) -> Receipt {
        let journal = self.source.journal();
        journal.map_or_else(Receipt::default, |journal| journal.receipt())
    }

    /// Waits for records of the kernel, until `end` at most, and takes them in.
    fn poll(&mut self, clock: &Clock, end: u64, window: &mut Window) {
        std::thread::sleep(MIN_POLL_DELAY);
        let left = Duration::from_nanos(end.saturating_sub(clock.now()));
        wait(self.source.wake(), left.min(MAX_POLL_DELAY));
        let mut host = Host {
            clock,
            containers: &mut self.containers,
        };
        self.source.poll(&mut host, window);
        self.containers.poll(clock.now().min(end - 1), window);
    }

    /// Charges all sums to `at`, in the `second` that has ended.
    fn drain(&mut self, at: u64, second: u64, clock: &Clock, window: &mut Window) -> Result<()> {
        if second.is_multiple_of(SCAN_INTERVAL) {
            self.containers.scan(at, window);
        }
        let now = clock.now();
        if u128::from(now.saturating_sub(at)) > MAX_DRAIN_DELAY.as_nanos() {
            // One second has what the other lacks.
            window.mark_partial(second);
            window.mark_partial(now / SECOND);
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
        self.report_undelivered(at, window);
        Ok(())
    }

    /// Reports what was given up in the segments of the second of `at`. If no container has one, the
    /// notes wait for a later second.
    fn report_undelivered(&self, at: u64, window: &mut Window) {
        let second = at / SECOND;
        if !window.has_second(second) {
            return;
        }
        // If the container is gone, any other reports it.
        let is_running = |id: &ContainerId| window.find_container(id).is_some();
        let taken = self.undelivered.take(window.source(), second, is_running);
        for ((container, reason), count) in taken {
            let container = container.and_then(|id| window.find_container(&id));
            window.loss(at, container, reason, Loss { count, bytes: 0 });
        }
    }

    /// Passes the segments that wait here on, at the end, however long that takes: nothing would spool them
    /// afterwards.
    fn pass_on_late(&mut self, source: SourceId, now: u64) -> Result<()> {
        let closed = self.closed(source, now);
        if self.out.send(closed).is_err() {
            bail!("the thread that writes the spool has ended");
        }
        Ok(())
    }

    /// The segments that wait here.
    fn closed(&mut self, source: SourceId, now: u64) -> Closed {
        Closed {
            source,
            at: now,
            segments: std::mem::take(&mut self.late),
            containers: self.containers.count(),
            kernel_ns: self.source.kernel_ns(),
            receipt: self.receipt(),
        }
    }

    /// Passes the segments of a second on. They wait here while the disk is too slow. Beyond a bound
    /// the oldest are dropped, and counted as a loss.
    fn pass_on(&mut self, source: SourceId, now: u64, window: &mut Window) -> Result<()> {
        self.late.extend(window.take_closed());
        if let Some(count) = self.late.len().checked_sub(MAX_LATE).filter(|n| *n > 0) {
            let dropped: Vec<_> = self.late.drain(..count).collect();
            self.undelivered.take_back(&reported_losses(&dropped));
            let seconds = count as u64;
            self.undelivered.add(None, Reason::SPOOL_FULL, seconds);
            tracing::warn!(count, "the disk is too slow: slots are dropped");
        }
        let closed = self.closed(source, now);
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

/// Waits until `descriptor` is readable, for at most `timeout`.
fn wait(descriptor: Option<BorrowedFd<'_>>, timeout: Duration) {
    let (Some(descriptor), Ok(limit)) = (descriptor, Timespec::try_from(timeout)) else {
        std::thread::sleep(timeout);
        return;
    };
    let mut descriptors = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    // An error, such as an interruption, ends the wait early: the caller polls again.
    let _ = poll(&mut descriptors, Some(&limit));
}

/// Lets the counting thread run before others, as its data does not wait: a cgroup is removed soon
/// after its last process ends, and a second is counted when it ends. It uses little time, so others do
/// not notice. Without permission it still counts, a little later.
pub fn raise_priority() {
    // None: the calling thread.
    if let Err(why) = rustix::process::setpriority_process(None, PRIORITY) {
        tracing::debug!(%why, "the counting thread has no priority over other processes");
    }
}
