//! What agents say of themselves: kept from batch to batch, so that costs can be shown as rates.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bubble_common::batch::AgentReport;
use bubble_common::segment::SourceId;

use crate::store::host::Host;

/// A host's entry is stored at most once in so many nanoseconds.
const STORED_EACH: u64 = 5_000_000_000;
/// Hosts remembered at most; beyond that all are forgotten, and known again after two batches.
const MOST: usize = 10_000;

/// The latest report of each host.
#[derive(Debug, Default)]
pub struct Hosts {
    latest: Mutex<HashMap<String, Report>>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    source: SourceId,
    sent_at: u64,
    cpu_ns: u64,
    kernel_ns: u64,
}

impl Hosts {
    /// The entry to be stored for the host of `agent`, a run of which is `source`, when it is due.
    pub fn report(&self, source: SourceId, agent: &AgentReport) -> Option<Host> {
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
        let before = latest.get(&agent.host).copied();
        // An agent that was started again counts from 0.
        let before = before.filter(|before| before.source == source);
        let due = before.is_none_or(|before| agent.sent_at >= before.sent_at + STORED_EACH);
        if !due {
            return None;
        }
        if latest.len() >= MOST {
            latest.clear();
        }
        latest.insert(agent.host.clone(), report);
        // Without an earlier report: since the agent started is not known, so nothing is.
        let percent = |of: fn(&Report) -> u64| {
            before.map_or(0.0, |before| {
                let used = of(&report).saturating_sub(of(&before)) as f64;
                let span = (report.sent_at - before.sent_at).max(1) as f64;
                (used / span * 10_000.0).round() / 100.0
            })
        };
        Some(Host {
            host: agent.host.clone(),
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
