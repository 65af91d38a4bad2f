//! Agents' reports of themselves: kept from batch to batch, so that costs can be shown as rates.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bubble_common::batch::AgentReport;
use bubble_common::segment::SourceId;
use tracing::warn;

use super::drift::Drift;
use crate::clock;
use crate::store::host::Host;
use crate::store::key::ApiKey;

/// Shortest interval between writes of a host's entry.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// Sources of a host that are remembered at most.
const MAX_SOURCES: usize = 16;
/// Hosts at most. Beyond that all are dropped, and known again after two batches.
const MAX_HOSTS: usize = 10_000;

/// Time without a batch after which an agent no longer counts as live.
const AGENT_TTL: Duration = Duration::from_secs(90);
/// What a host lacks that two agents report.
const TWO_AGENTS: &str =
    "two agents count on this host, so what both see counts twice: stop one of them";

/// The latest report of each host.
#[derive(Debug, Default)]
pub struct Hosts {
    /// By host and owner of the key: hosts of two owners may have one name.
    latest: Mutex<HashMap<(String, String), LatestReport>>,
    agents: Mutex<Agents>,
}

/// What is known of a host.
#[derive(Debug, Clone, Copy)]
struct LatestReport {
    /// Its latest report that was stored. `None` before the first one.
    report: Option<Report>,
    clock: Drift,
    /// When its agent dropped slots last: seconds since the Unix epoch.
    dropped_at: f64,
}

/// What a report adds up to with the earlier ones.
struct Noted {
    /// The report of the same run that was stored before.
    before: Option<Report>,
    /// When it came: seconds since the Unix epoch.
    received: f64,
    clock_offset: Option<f64>,
    dropped_at: f64,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    source: SourceId,
    sent_at: u64,
    cpu_ns: u64,
    kernel_ns: u64,
    dropped: u64,
    /// When it came.
    heard: Instant,
}

impl Report {
    /// Seconds from `before` to this report. The agent may choose any time, and its clock may be set
    /// back; then the times of arrival count.
    fn seconds_since(&self, before: &Self) -> f64 {
        match self.sent_at.checked_sub(before.sent_at) {
            Some(made) if made > 0 => made as f64 / 1e9,
            _ => self.heard.duration_since(before.heard).as_secs_f64(),
        }
    }
}

impl Hosts {
    /// Returns the entry to store for the host of `agent`, if a write is due. `source` is the run of
    /// the agent, and `key` its key. `boot` identifies the kernel that it counts in, if it says so.
    pub fn report(
        &self,
        source: SourceId,
        agent: &AgentReport,
        key: &ApiKey,
        boot: Option<&str>,
    ) -> Option<Host> {
        if agent.host.is_empty() {
            return None;
        }
        let kernel = match boot {
            Some(boot) => boot.to_owned(),
            None => format!("{}\n{}", agent.host, key.owner),
        };
        let agents = {
            let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
            agents.count(kernel, source, agent.sent_at, Instant::now())
        };
        let report = Report {
            source,
            sent_at: agent.sent_at,
            cpu_ns: agent.cpu_ns,
            kernel_ns: agent.kernel_ns,
            dropped: agent.dropped,
            heard: Instant::now(),
        };
        let name = (agent.host.clone(), key.owner.clone());
        let noted = self.note(name, report)?;
        let before = noted.before;
        // Without an earlier report there is no interval, so the rate is 0.
        let percent = |of: fn(&Report) -> u64| {
            before.map_or(0.0, |before| {
                let used = of(&report).saturating_sub(of(&before)) as f64 / 1e9;
                let span = report.seconds_since(&before).max(1e-9);
                (used / span * 10_000.0).round() / 100.0
            })
        };
        Some(Host {
            host: agent.host.clone(),
            owner: key.owner.clone(),
            key: key.id.clone(),
            version: agent.version.clone(),
            kernel: agent.kernel.clone(),
            hooks: agent.hooks.clone(),
            missing: {
                let two = (agents > 1).then(|| TWO_AGENTS.to_owned());
                two.into_iter()
                    .chain(agent.missing.iter().cloned())
                    .collect()
            },
            agents,
            cores: agent.cores,
            memory: agent.memory,
            last_seen: agent.sent_at as f64 / 1e9,
            received: noted.received,
            clock_offset: noted.clock_offset,
            cpu_percent: percent(|report| report.cpu_ns),
            rss: agent.rss,
            kernel_percent: percent(|report| report.kernel_ns),
            spooled: agent.spooled,
            dropped: agent.dropped,
            dropped_at: noted.dropped_at,
        })
    }

    /// Notes a report. `None` if the host's entry was written just before.
    fn note(&self, name: (String, String), report: Report) -> Option<Noted> {
        let (received, now) = (clock::now_ns(), report.heard);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() >= MAX_HOSTS && !latest.contains_key(&name) {
            latest.clear();
        }
        let known = latest.entry(name).or_insert_with(|| LatestReport {
            report: None,
            clock: Drift::new(report.sent_at, received, now),
            dropped_at: 0.0,
        });
        known.clock.add(report.sent_at, received, now);
        // A restarted agent counts from 0.
        let before = known.report.filter(|before| before.source == report.source);
        // By the time of arrival: the agent's clock may be set back. Within a run the agent's own CPU time
        // only grows, so it tells an older report, which waited in the spool.
        let due = before.is_none_or(|before| {
            let is_older = report.cpu_ns < before.cpu_ns;
            !is_older && now.duration_since(before.heard) >= WRITE_INTERVAL
        });
        if !due {
            return None;
        }
        let received = received as f64 / 1e9;
        known.report = Some(report);
        if before.is_some_and(|before| report.dropped > before.dropped) {
            known.dropped_at = received;
        }
        Some(Noted {
            before,
            received,
            clock_offset: known.clock.offset(now),
            dropped_at: known.dropped_at,
        })
    }

    /// Number of hosts on which more than one agent counts.
    pub fn counted_twice(&self) -> usize {
        let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_twice = |at: &&Instant| now.duration_since(**at) < AGENT_TTL;
        agents.twice.values().filter(is_twice).count()
    }
}

/// The live agents of each kernel.
///
/// An agent that is started again is another source, and posts what the former run left in the spool.
/// So two sources count as two agents only if each made a batch after the other's first, and each was
/// heard after that.
#[derive(Debug, Default)]
struct Agents {
    /// Sources by kernel.
    kernels: HashMap<String, HashMap<SourceId, Seen>>,
    /// Kernels on which more than one agent counts, and when that was last seen.
    twice: HashMap<String, Instant>,
}

/// A source that posts live. Times of batches are the host's, in ns.
#[derive(Debug, Clone, Copy)]
struct Seen {
    first_sent: u64,
    last_sent: u64,
    first_heard: Instant,
    last_heard: Instant,
}

impl Agents {
    /// Takes in a batch. Returns the number of agents that count on its host.
    fn count(&mut self, kernel: String, source: SourceId, sent_at: u64, now: Instant) -> u32 {
        if self.kernels.len() >= MAX_HOSTS && !self.kernels.contains_key(&kernel) {
            self.kernels.clear();
            self.twice.clear();
        }
        let sources = self.kernels.entry(kernel.clone()).or_default();
        sources.retain(|_, seen| now.duration_since(seen.last_heard) < AGENT_TTL);
        // An agent needs no more, and whoever invents sources gets no more memory.
        if sources.len() >= MAX_SOURCES {
            sources.clear();
        }
        let own = sources.entry(source).or_insert(Seen {
            first_sent: sent_at,
            last_sent: sent_at,
            first_heard: now,
            last_heard: now,
        });
        own.first_sent = own.first_sent.min(sent_at);
        own.last_sent = own.last_sent.max(sent_at);
        own.last_heard = now;
        let own = *own;
        let others = sources.iter().filter(|(other, seen)| {
            let made = seen.last_sent > own.first_sent && own.last_sent > seen.first_sent;
            let heard = seen.last_heard > own.first_heard && own.last_heard > seen.first_heard;
            **other != source && made && heard
        });
        let agents = 1 + others.count() as u32;
        if agents == 1 {
            self.twice.remove(&kernel);
        } else if self.twice.insert(kernel, now).is_none() {
            warn!(
                agents,
                "more than one agent counts on a host: see the hosts"
            );
        }
        agents
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bubble_common::batch::AgentReport;
    use bubble_common::segment::SourceId;

    use super::{Agents, Hosts, Report};

    #[test]
    fn any_time_of_an_agent_is_accepted() {
        let hosts = Hosts::default();
        let source = SourceId([7; 16]);
        let at = |sent_at| AgentReport {
            host: "node01".to_owned(),
            sent_at,
            ..AgentReport::default()
        };
        let (_, key) = crate::auth::key::create("tests", 0);
        let (_, other) = crate::auth::key::create("others", 0);
        assert!(hosts.report(source, &at(u64::MAX), &key, None).is_some());
        assert!(hosts.report(source, &at(u64::MAX), &key, None).is_none());
        assert!(hosts.report(source, &at(0), &key, None).is_none());
        // Another owner's host of this name is another host.
        let host = hosts.report(source, &at(0), &other, None).unwrap();
        assert_eq!(host.owner, "others");
    }

    #[test]
    fn a_host_whose_clock_is_set_back_is_heard() {
        let hosts = Hosts::default();
        let start = Instant::now();
        let name = || ("node01".to_owned(), "tests".to_owned());
        let note = |sent_at: u64, cpu_ns, after| {
            let report = Report {
                source: SourceId([7; 16]),
                sent_at: sent_at * 1_000_000_000,
                cpu_ns,
                kernel_ns: 0,
                dropped: 0,
                heard: start + Duration::from_secs(after),
            };
            let noted = hosts.note(name(), report)?;
            Some(noted.before.map(|before| report.seconds_since(&before)))
        };
        assert_eq!(note(10_000, 10, 0), Some(None));
        assert_eq!(note(10_001, 20, 1), None, "written just before");
        assert_eq!(note(10_006, 30, 6), Some(Some(6.0)));
        // Set back by an hour.
        assert_eq!(note(6_412, 40, 12), Some(Some(6.0)));
        assert_eq!(note(6_418, 50, 18), Some(Some(6.0)));
        // An older one waited in the spool.
        assert_eq!(note(10_002, 25, 25), None);
        assert_eq!(note(6_426, 60, 26), Some(Some(8.0)));
    }

    #[test]
    fn two_agents_of_one_kernel_are_noticed() {
        let mut agents = Agents::default();
        let (one, two) = (SourceId([1; 16]), SourceId([2; 16]));
        let start = Instant::now();
        let mut count = |source, sent_at: u64, heard: u64| {
            let now = start + Duration::from_secs(heard);
            agents.count("boot".to_owned(), source, sent_at, now)
        };
        // A run, and the next one, which posts the last batch of the first.
        assert_eq!([count(one, 1, 1), count(one, 2, 2)], [1, 1]);
        assert_eq!(
            [count(two, 5, 5), count(one, 3, 6), count(two, 6, 7)],
            [1, 1, 1]
        );
        // The first one goes on beside the second.
        assert_eq!([count(one, 7, 8), count(two, 8, 9)], [2, 2]);
        // The first one ends.
        assert_eq!(count(two, 120, 120), 1);
        // The clock was set back: the same agent is another source.
        assert_eq!(count(one, 90, 121), 1);
        assert_eq!(count(one, 180, 240), 1);
        let other = agents.count(
            "other".to_owned(),
            two,
            181,
            start + Duration::from_secs(241),
        );
        assert_eq!(other, 1, "another kernel");
    }
}
