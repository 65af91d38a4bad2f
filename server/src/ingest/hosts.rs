//! Agents' reports of themselves: kept from batch to batch, so that costs can be shown as rates.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bubble_common::batch::AgentReport;
use bubble_common::segment::SourceId;

use crate::store::host::Host;
use crate::store::key::ApiKey;

/// Shortest interval between writes of a host's entry.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// Hosts at most. Beyond that all are dropped, and known again after two batches.
const MAX_HOSTS: usize = 10_000;

/// The latest report of each host.
#[derive(Debug, Default)]
pub struct Hosts {
    /// By host and owner of the key: hosts of two owners may have one name.
    latest: Mutex<HashMap<(String, String), Report>>,
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
    /// the agent, and `key` its key.
    pub fn report(&self, source: SourceId, agent: &AgentReport, key: &ApiKey) -> Option<Host> {
        if agent.host.is_empty() {
            return None;
        }
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
            missing: agent.missing.clone(),
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
}

#[cfg(test)]
mod tests {
    use bubble_common::batch::AgentReport;
    use bubble_common::segment::SourceId;

    use super::Hosts;

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
        assert!(hosts.report(source, &at(u64::MAX), &key).is_some());
        assert!(hosts.report(source, &at(u64::MAX), &key).is_none());
        assert!(hosts.report(source, &at(0), &key).is_none());
        // Another owner's host of this name is another host.
        let host = hosts.report(source, &at(0), &other).unwrap();
        assert_eq!(host.owner, "others");
    }
}
