//! Agents' reports of themselves: kept from batch to batch, so that costs can be shown as rates.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bubble_common::batch::AgentReport;
use bubble_common::segment::SourceId;
use tracing::warn;

use crate::store::host::Host;
use crate::store::key::ApiKey;

/// Shortest interval between writes of a host's entry.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// Sources of a host that are remembered at most.
const MAX_SOURCES: usize = 16;
/// Hosts at most. Beyond that all are dropped, and known again after two batches.
const MAX_HOSTS: usize = 10_000;

/// Time without a batch after which an agent no longer counts as live.
const AGENT_TTL: Duration = Duration::from_secs(30);
/// What a host lacks that two agents report.
const TWO_AGENTS: &str =
    "two agents count on this host, so what both see counts twice: stop one of them";

/// The latest report of each host.
#[derive(Debug, Default)]
pub struct Hosts {
    /// By host and owner of the key: hosts of two owners may have one name.
    latest: Mutex<HashMap<(String, String), Report>>,
    agents: Mutex<Agents>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    source: SourceId,
    sent_at: u64,
    cpu_ns: u64,
    kernel_ns: u64,
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
        };
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (agent.host.clone(), key.owner.clone());
        let before = latest.get(&name).copied();
        // A restarted agent counts from 0.
        let before = before.filter(|before| before.source == source);
        // The agent chooses the time: it may be any number.
        let due = before.is_none_or(|before| {
            let since = agent.sent_at.checked_sub(before.sent_at);
            since.is_some_and(|since| since >= WRITE_INTERVAL.as_nanos() as u64)
        });
        if !due {
            return None;
        }
        if latest.len() >= MAX_HOSTS {
            latest.clear();
        }
        latest.insert(name, report);
        // Without an earlier report there is no interval, so the rate is 0.
        let percent = |of: fn(&Report) -> u64| {
            before.map_or(0.0, |before| {
                let used = of(&report).saturating_sub(of(&before)) as f64;
                let span = (report.sent_at - before.sent_at).max(1) as f64;
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
            cpu_percent: percent(|report| report.cpu_ns),
            rss: agent.rss,
            kernel_percent: percent(|report| report.kernel_ns),
            spooled: agent.spooled,
            dropped: agent.dropped,
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

    use super::{Agents, Hosts};

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
        assert_eq!(count(two, 60, 60), 1);
        // The clock was set back: the same agent is another source.
        assert_eq!(count(one, 30, 61), 1);
        assert_eq!(count(one, 90, 120), 1);
        let other = agents.count(
            "other".to_owned(),
            two,
            91,
            start + Duration::from_secs(121),
        );
        assert_eq!(other, 1, "another kernel");
    }
}
