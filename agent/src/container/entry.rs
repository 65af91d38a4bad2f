//! One container of this host: its lives, and the facts it carries.

use std::time::Duration;

use bubble_common::segment::event::EventKind;
use bubble_common::segment::facts;

use super::docker::{News, Update};
use super::life::Life;
use crate::sink::{ContainerHandle, Sink};

/// Time that a container stays known after its end, as Docker's facts may come late.
pub(super) const ENDED_TTL: Duration = Duration::from_secs(3);
/// Time that the end event of a container waits for Docker's exit code.
const EXIT_CODE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time that a container of Docker stays known after its end while its exit code is missing: a busy
/// Docker is late.
const NO_CODE_TTL: Duration = Duration::from_secs(15);

/// Facts about one life of a container. They do not apply to the next.
const LIFE_FACTS: [&str; 3] = [facts::ENDED, facts::EXIT_CODE, facts::OOM_KILLED];

/// A known container.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) handle: ContainerHandle,
    /// Its lives, oldest first: those that have not ended, or not long ago. Never empty.
    pub(super) lives: Vec<Life>,
}

impl Entry {
    pub(super) fn is_running(&self) -> bool {
        self.lives.iter().any(Life::is_running)
    }

    /// The life with this cgroup.
    pub(super) fn life(&mut self, cgroup: u64) -> Option<&mut Life> {
        self.lives.iter_mut().find(|life| life.cgroup == cgroup)
    }

    /// Adds a life. Facts of the former one no longer apply.
    pub(super) fn begin<S: Sink>(&mut self, life: Life, sink: &mut S) {
        for known in &mut self.lives {
            // Two cgroups cannot have one path: the record of the removal was lost, or follows.
            if known.is_running() && known.found.path == life.found.path {
                known.end(life.began);
            }
        }
        for name in LIFE_FACTS {
            sink.fact(self.handle, name, "");
        }
        if life.is_new {
            sink.fact(self.handle, facts::STARTED, &life.began.to_string());
        }
        sink.alive(life.began, self.handle);
        self.lives.push(life);
    }

    /// Reports the starts and ends of its lives in their order. Ends wait for Docker's exit code
    /// for a while if `by_docker`.
    pub(super) fn report<S: Sink>(&mut self, at: u64, by_docker: bool, sink: &mut S) {
        let newest = self.lives.len() - 1;
        for (index, life) in self.lives.iter_mut().enumerate() {
            if life.is_new && !life.is_start_reported {
                sink.event(
                    life.began,
                    self.handle,
                    EventKind::CONTAINER_START,
                    None,
                    "",
                );
            }
            life.is_start_reported = true;
            let Some(ended) = life.ended.as_mut().filter(|ended| !ended.is_reported) else {
                continue;
            };
            ended.noticed.get_or_insert(at);
            let age = Duration::from_nanos(at.saturating_sub(ended.at));
            if by_docker && ended.code.is_none() && age <= EXIT_CODE_TIMEOUT {
                return;
            }
            ended.is_reported = true;
            let code = ended.code.clone().unwrap_or_default();
            sink.event(ended.at, self.handle, EventKind::CONTAINER_END, None, &code);
            if index == newest && ended.code.is_none() {
                sink.fact(self.handle, facts::ENDED, &ended.at.to_string());
            }
        }
    }

    /// Removes lives that ended long enough ago. Returns false when none is left.
    pub(super) fn retain_lives(&mut self, at: u64, by_docker: bool) -> bool {
        let is_over = |life: &Life| {
            let ended = life.ended.as_ref().filter(|ended| ended.is_reported);
            ended.is_some_and(|ended| {
                let is_waiting = by_docker && ended.code.is_none();
                let ttl = if is_waiting { NO_CODE_TTL } else { ENDED_TTL };
                // What it did before an end that became known late is not counted yet.
                let noticed = ended.noticed.unwrap_or(ended.at);
                let is_late = Duration::from_nanos(noticed.saturating_sub(ended.at)) >= ENDED_TTL;
                let since = if is_late { noticed } else { ended.at };
                Duration::from_nanos(at.saturating_sub(since)) >= ttl
            })
        };
        if self.lives.iter().all(is_over) {
            return false;
        }
        self.lives.retain(|life| !is_over(life));
        true
    }

    /// Passes news from Docker on. Returns false when it is about a life that is not known yet.
    pub(super) fn apply<S: Sink>(&mut self, at: u64, update: &Update, sink: &mut S) -> bool {
        for (name, value) in &update.facts {
            sink.fact(self.handle, name, value);
        }
        match &update.news {
            News::None => true,
            News::Inspected {
                started,
                ended,
                code,
                oom_killed,
            } => {
                self.inspected(*started, *ended, code.as_deref(), *oom_killed, sink);
                true
            }
            News::OutOfMemory { at: of_docker } => {
                if self.life_at(*of_docker) == Some(self.lives.len() - 1) {
                    sink.fact(self.handle, facts::OOM_KILLED, "true");
                }
                true
            }
            News::Died {
                at: of_docker,
                code,
            } => self.died(at, *of_docker, code.as_deref(), sink),
        }
    }

    /// Index of the newest life that had begun by `at`.
    fn life_at(&self, at: u64) -> Option<usize> {
        self.lives.iter().rposition(|life| life.earliest <= at)
    }

    /// Takes in Docker's state of a container, unless it is that of a former life.
    fn inspected<S: Sink>(
        &self,
        started: Option<u64>,
        ended: Option<u64>,
        code: Option<&str>,
        oom_killed: bool,
        sink: &mut S,
    ) {
        let newest = self.lives.len() - 1;
        let Some(started) = started.filter(|at| self.life_at(*at) == Some(newest)) else {
            return;
        };
        let life = &self.lives[newest];
        // The start of a life only moves forward: the server takes a later one for another life.
        if !life.is_new || started >= life.began {
            sink.fact(self.handle, facts::STARTED, &started.to_string());
        }
        if let Some(ended) = ended {
            sink.fact(self.handle, facts::ENDED, &ended.to_string());
            if let Some(code) = code {
                sink.fact(self.handle, facts::EXIT_CODE, code);
            }
            if oom_killed {
                sink.fact(self.handle, facts::OOM_KILLED, "true");
            }
        }
    }

    /// Takes in the end of a life, which happened at `of_docker` by Docker's clock.
    fn died<S: Sink>(&mut self, at: u64, of_docker: u64, code: Option<&str>, sink: &mut S) -> bool {
        // Docker reports ends in their order, so the first life that waits for its code gets it.
        let waits = |life: &Life| {
            let ended = life.ended.as_ref();
            ended.is_some_and(|ended| ended.code.is_none() && !ended.is_reported)
        };
        let oldest = self
            .lives
            .iter()
            .position(|life| life.earliest <= of_docker && waits(life));
        let Some(index) = oldest.or_else(|| self.life_at(of_docker)) else {
            // Of a life before all that are known.
            return true;
        };
        let is_newest = index == self.lives.len() - 1;
        let ended = self.lives[index].end(of_docker.min(at));
        if ended.code.is_some() {
            return false;
        }
        let code = code.unwrap_or_default();
        ended.code = Some(code.to_owned());
        if is_newest {
            sink.fact(self.handle, facts::ENDED, &of_docker.to_string());
            sink.fact(self.handle, facts::EXIT_CODE, code);
        }
        true
    }
}
