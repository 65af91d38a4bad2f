//! Waits for a command: passes signals on, and waits for what it has started.

use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::cgroup::RunCgroup;
use super::child::reap;
use super::output::say;
use super::signals::{Received, Signals};
use crate::source::procfs::tree::Waited;

/// Interval of looking whether all processes have ended, after the command has.
const END_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Interval of looking whether a line is due, and the longest sleep.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Time after the command's end from which on it is said what is waited for.
const MAX_SILENT_WAIT: Duration = Duration::from_secs(1);

/// A command that runs.
pub(super) struct Command<'a> {
    /// Its process id.
    pub(super) pid: libc::pid_t,
    /// Signals of the agent.
    pub(super) signals: &'a Signals,
    /// Its cgroup. `None`: its processes are known by their descent.
    pub(super) cgroup: Option<&'a RunCgroup>,
    /// Where the CPU time of processes that ended is added up.
    pub(super) waited: &'a Waited,
    /// End with the command.
    pub(super) no_wait: bool,
}

/// State of the wait.
#[derive(Default)]
struct State {
    /// Exit code of the command, and when it ended.
    ended: Option<(u8, Instant)>,
    /// No child is left.
    has_no_children: bool,
    /// Signals that asked to end after the command had ended.
    asked_to_end: u32,
    is_wait_told: bool,
}

impl Command<'_> {
    /// Waits until it has ended, with all processes that it has started. Calls `tick` some times a
    /// second. Returns its exit code.
    pub(super) fn wait(&self, mut tick: impl FnMut()) -> u8 {
        let mut state = State::default();
        loop {
            self.sleep(state.ended.is_some());
            while let Some(received) = self.signals.next() {
                self.handle(received, &mut state);
            }
            self.reap(&mut state);
            tick();
            if let Some((code, at)) = state.ended
                && self.is_over(at, &mut state)
            {
                return code;
            }
        }
    }

    fn sleep(&self, has_ended: bool) {
        let interval = if has_ended {
            END_POLL_INTERVAL
        } else {
            POLL_INTERVAL
        };
        let mut descriptors = [PollFd::from_borrowed_fd(
            self.signals.as_fd(),
            PollFlags::IN,
        )];
        let limit = Timespec::try_from(interval).unwrap_or_default();
        // An error, such as an interruption, ends the sleep early.
        let _ = poll(&mut descriptors, Some(&limit));
    }

    fn handle(&self, received: Received, state: &mut State) {
        let Received::Other {
            signal,
            is_of_terminal,
        } = received
        else {
            return;
        };
        if state.ended.is_none() {
            if !is_of_terminal {
                send(self.pid, signal);
            }
            return;
        }
        // The command is gone: what it has left gets the signal, and at the second one nobody waits.
        state.asked_to_end += 1;
        if !is_of_terminal {
            for pid in self.left() {
                send(pid as libc::pid_t, signal);
            }
        }
    }

    fn reap(&self, state: &mut State) {
        loop {
            match reap() {
                Ok(Some(ended)) => {
                    self.waited.user.fetch_add(ended.user_ns, Ordering::Relaxed);
                    let system = &self.waited.system;
                    system.fetch_add(ended.system_ns, Ordering::Relaxed);
                    if ended.pid == self.pid {
                        state.ended = Some((ended.code(), Instant::now()));
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    state.has_no_children = true;
                    return;
                }
            }
        }
    }

    /// Whether there is nothing left to wait for, `at` being the time of the command's end.
    fn is_over(&self, at: Instant, state: &mut State) -> bool {
        if self.no_wait || state.asked_to_end > 1 {
            return true;
        }
        let is_over = match self.cgroup {
            Some(cgroup) => cgroup.is_empty(),
            None => state.has_no_children,
        };
        if !is_over && !state.is_wait_told && at.elapsed() > MAX_SILENT_WAIT {
            state.is_wait_told = true;
            let left = match self.cgroup.map(RunCgroup::processes) {
                Some((left, Ok(()))) => left.len().to_string(),
                _ => "some".to_owned(),
            };
            say(&format!(
                "the command has ended, {left} of its processes still run: waiting for them (--no-wait does not)"
            ));
        }
        is_over
    }

    /// The processes that still run, as far as they can be read.
    fn left(&self) -> Vec<u32> {
        self.cgroup.map_or_else(Vec::new, |it| it.processes().0)
    }
}

fn send(pid: libc::pid_t, signal: libc::c_int) {
    // SAFETY: the call takes numbers only. A process that has just ended gets nothing.
    unsafe {
        libc::kill(pid, signal);
    }
}
